/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* May this flow pass? semantics.md section 6, policy/map_state.py:
 *
 *  1. a matching deny, however short, beats every allow (within one peer the rows are written so that the
 *     longest match already is the deny; across peers it is seen here);
 *  2. among allows the longest match of protocol and port wins;
 *  3. equally long, a peer named beats any peer.
 *
 * A peer is found under its identity, under its CIDR class where that counts, and under each name class that
 * the endpoint was granted for this address. When the winner lets only DNS questions through, a name passes
 * if any entry for exactly this port allows it or is plain. */
#pragma once

#include "grants.h"
#include "parse.h"

/* The question types that a set of DNS rules lets pass for the name in hand; 0: none. */
static __always_inline __u32 rules_pass(struct work *w, __u32 rules)
{
	struct dns_rule_key key = {.rules = rules, .name_class = w->judgement.name_class & CLASS_NUMBER};
	__u32 *types = key.name_class ? bpf_map_lookup_elem(&dns_rules, &key) : NULL;

	return types ? *types : 0;
}

__noinline int consider(__u32 peer)
{
	struct work *w = get_work();
	struct policy_key key = {.length = POLICY_EXACT, .peer = peer};
	struct policy_entry *entry;
	__s32 bits;

	if (!w)
		return 0;
	key.policy = w->policy;
	key.direction = w->judgement.direction;
	key.protocol = w->packet.protocol;
	key.port = bpf_htons(w->judgement.port);
	entry = bpf_map_lookup_elem(&policies, &key);
	if (!entry)
		return 0;
	if (entry->flags & POLICY_DENY) {
		w->judgement.denied = 1;
		w->judgement.peer = peer;
		w->judgement.bits = entry->l4_bits;
		return 0;
	}
	bits = entry->l4_bits;
	if (w->judgement.denied || bits < w->judgement.bits || (bits == w->judgement.bits && !peer))
		return 0;
	/* Longer, or the first that is named: what the others say of names is nothing to it. Their rows have already
	 * what everybody's rules of the same port add (policy/compile.py). */
	if (bits > w->judgement.bits || !w->judgement.peer) {
		w->judgement.dns = 0;
		w->judgement.name_ok = 0;
	}
	w->judgement.bits = bits;
	w->judgement.peer = peer;
	w->judgement.dns |= entry->flags & POLICY_DNS;
	/* Equally long and both named: both speak, so one with rules makes it questions only. */
	if (bits == POLICY_L4) {
		__u32 types = rules_pass(w, entry->rules);

		if (types)
			w->judgement.name_known = 1;
		if (!(entry->flags & (POLICY_DNS | POLICY_ASIDE)) || entry->flags & POLICY_DNS_ANY ||
		    types >> (w->judgement.type_bit & 31) & 1)
			w->judgement.name_ok = 1;
	}
	return 0;
}

__noinline int consider_grants(void)
{
	struct work *w = get_work();
	struct grant_key key = {};
	__u32 slot;
	void *pages;

	if (!w)
		return 0;
	slot = w->slot;
	pages = bpf_map_lookup_elem(&grants, &slot);
	if (!pages)
		return 0;
	key.address = w->packet.remote;
	for (__u32 page = 0; page < GRANT_PAGES; page++) {
		struct grant_page *found;

		key.page = page;
		found = bpf_map_lookup_elem(pages, &key);
		if (!found)
			break;
		for (int i = 0; i < GRANT_SLOTS; i++) {
			__u64 held = found->slots[i];
			__u32 deadline = held;

			if (held && (deadline >= w->now || (w->judgement.since && deadline >= w->judgement.since)))
				consider(PEER_NAME | (held >> 32));
		}
	}
	return 0;
}

/* One peer, as `w->judgement` says it; 0 or a drop reason. */
__noinline int judge(void)
{
	struct work *w = get_work();

	if (!w)
		return DROP_NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION;
	w->judgement.denied = 0;
	w->judgement.bits = -1;
	w->judgement.peer = 0;
	w->judgement.dns = 0;
	w->judgement.name_ok = 0;
	consider(0);
	if (w->judgement.identity)
		consider(w->judgement.identity & PEER_NUMBER);
	if (w->judgement.cidr)
		consider(w->judgement.cidr);
	if (w->judgement.direction == EGRESS && !(w->judgement.flags & INSIDE) && !w->judgement.nameless) {
		consider_grants();
		if (w->judgement.kept)
			consider(PEER_NAME | (w->judgement.kept & PEER_NUMBER));
	}
	if (w->judgement.denied)
		return DROP_POLICY_DENY;
	return w->judgement.bits < 0 ? DROP_POLICY_DENIED : 0;
}

/* Who is the other side? Into `w->judgement`. Only what the host itself sent is the host. */
__noinline int identify(void)
{
	struct work *w = get_work();
	struct prefix_key key = {.length = 128};
	struct ipcache_entry *entry;
	__u32 *class;

	if (!w)
		return 0;
	__builtin_memcpy(key.address, &w->packet.remote, sizeof(key.address));
	entry = bpf_map_lookup_elem(&ipcache, &key);
	if (entry) {
		w->judgement.identity = entry->identity;
		w->judgement.flags = entry->flags;
	} else {
		w->judgement.identity = w->packet.flags & PACKET_IPV6 ? IDENTITY_WORLD_IPV6 : IDENTITY_WORLD_IPV4;
		w->judgement.flags = 0;
	}
	if (w->judgement.direction == INGRESS) {
		if (w->packet.flags & PACKET_LOCAL_ORIGIN) {
			w->judgement.identity = IDENTITY_HOST;
			w->judgement.flags = INSIDE;
		} else if (w->judgement.identity == IDENTITY_HOST) {
			w->judgement.identity = IDENTITY_CLOSED;
		}
	}
	class = bpf_map_lookup_elem(&cidrs, &key);
	w->judgement.cidr = 0;
	if (class && *class)
		w->judgement.cidr = *class | (w->judgement.flags & INSIDE ? PEER_CIDR_INSIDE : PEER_CIDR);
	return 0;
}

/* The flow of `w->packet` as if it began in `direction`; 0 or a drop reason. At a service's address every
 * backend must be allowed on its own port: which one gets the packet is decided after us. */
__noinline int judge_flow(__u32 direction)
{
	struct work *w = get_work();
	__u32 enforced, dns = 0, name_ok = 1;
	int reason = 0;

	if (!w)
		return DROP_NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION;
	enforced = w->flags & (direction == EGRESS ? ENFORCE_EGRESS : ENFORCE_INGRESS);
	w->judgement.direction = direction;
	w->judgement.bits = -1;
	w->judgement.dns = 0;
	w->judgement.peer = 0;
	w->judgement.name_ok = 1;
	if (w->packet.protocol == IPPROTO_ICMP || w->packet.protocol == IPPROTO_ICMPV6)
		w->judgement.port = w->packet.icmp_type;
	else
		w->judgement.port = direction == EGRESS ? w->packet.remote_port : w->packet.local_port;
	identify();
	if (direction == EGRESS && has_ports(w->packet.protocol)) {
		struct service_key key = {
			.address = w->packet.remote,
			.port = w->packet.remote_port,
			.protocol = w->packet.protocol,
		};
		struct service *service = bpf_map_lookup_elem(&services, &key);

		if (service) {
			if (!service->count)
				return DROP_SERVICE_BACKEND_NOT_FOUND;
			if (!enforced)
				return 0;
			if (service->count > MAX_BACKENDS)
				return DROP_TOO_MANY_BACKENDS;
			w->judgement.flags = INSIDE;
			for (int i = 0; i < MAX_BACKENDS; i++) {
				if (i >= service->count)
					break;
				w->judgement.identity = service->backends[i].identity;
				w->judgement.cidr = service->backends[i].cidr;
				w->judgement.port = service->backends[i].port;
				reason = judge();
				if (reason)
					return reason;
				if (w->judgement.dns) {
					dns = 1;
					name_ok &= w->judgement.name_ok;
				}
			}
			w->judgement.dns = dns;
			w->judgement.name_ok = name_ok;
			return 0;
		}
	}
	return enforced ? judge() : 0;
}

/* As judge_flow, by all policies together, those in audit too. What those enforced said waits in `w->said`. */
__noinline int judge_audited(__u32 direction)
{
	struct work *w = get_work();
	__u32 policy, flags;
	int reason;

	if (!w)
		return 0;
	policy = w->policy;
	flags = w->flags;
	w->said = w->judgement;
	w->policy = w->audit_policy;
	w->flags = w->audit_flags;
	reason = judge_flow(direction);
	w->policy = policy;
	w->flags = flags;
	return reason;
}
