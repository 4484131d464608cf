/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Connections of one endpoint: who began, when, and under which state of the tables that was judged.
 *
 * A reply passes because its connection was allowed. A connection is judged again, in the direction it began
 * in, with the first packet after anything changed (`generation`); the name that opened it counts on even
 * when its grant has run out. A SYN always begins something new: it needs a grant of now. */
#pragma once

#include "events.h"
#include "policy.h"
#include "tls.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Seconds without a packet; Cilium's defaults. */
#define LIFE_TCP 8000
#define LIFE_OTHER 60
#define LIFE_CLOSING 10
#define LIFE_DENIED 300 /* longer than a peer waits between two attempts */

static __always_inline void connection_key_of(const struct packet *p, struct connection_key *key)
{
	key->local = p->local;
	key->remote = p->remote;
	key->local_port = p->local_port;
	key->remote_port = p->remote_port;
	key->protocol = p->protocol;
}

static __always_inline __u32 life(const struct packet *p, __u8 flags)
{
	if (flags & CONNECTION_CLOSING)
		return LIFE_CLOSING;
	return p->protocol == IPPROTO_TCP && flags & CONNECTION_REPLIED ? LIFE_TCP : LIFE_OTHER;
}

static __always_inline __u8 next_flags(const struct packet *p, __u8 flags, bool forward)
{
	if (!forward)
		flags |= CONNECTION_REPLIED;
	if (p->protocol != IPPROTO_TCP)
		return flags;
	if (p->tcp_flags & TCP_FIN)
		flags |= forward ? CONNECTION_FIN_FORWARD : CONNECTION_FIN_REPLY;
	if (p->tcp_flags & TCP_RST ||
	    (flags & (CONNECTION_FIN_FORWARD | CONNECTION_FIN_REPLY)) == (CONNECTION_FIN_FORWARD | CONNECTION_FIN_REPLY))
		flags |= CONNECTION_CLOSING;
	return flags;
}

#define TO_PROXY 1 /* beside drop reasons, which begin at 130 */

/* Where the winner lets only questions through, TCP is led to the proxy, which reads them. */
static __always_inline int dns_only(struct work *w)
{
	if (!w->judgement.dns || w->judgement.name_ok)
		return 0;
	return w->packet.protocol == IPPROTO_TCP && w->judgement.direction == EGRESS ?
		       TO_PROXY :
		       DROP_PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL;
}

/* A new flow, on which `reason` (0: it passes) is the word of the policies enforced: told of where all together say
 * otherwise, and then 1. */
__noinline int audit_flow(struct __sk_buff *skb, __u32 direction, __u32 reason)
{
	struct work *w = get_work();
	int other, differs;

	if (!w || !w->audit_policy)
		return 0;
	other = judge_audited(direction);
	differs = !other != !reason;
	if (differs)
		tell_audited(skb, direction, other, reason);
	w->judgement = w->said;
	return differs;
}

/* 0: pass; TO_PROXY: pass there and nowhere else; else a drop reason. Tells of the first packet of what passes. */
__noinline int track(struct __sk_buff *skb, __u32 direction)
{
	struct work *w = get_work();
	struct connection_key key = {};
	struct connection *known, fresh = {};
	void *table;
	__u32 slot;
	int reason;

	if (!w)
		return DROP_NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION;
	slot = w->slot;
	table = bpf_map_lookup_elem(&connections, &slot);
	if (!table)
		return DROP_NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION;
	connection_key_of(&w->packet, &key);
	known = bpf_map_lookup_elem(table, &key);
	if (known && known->expires >= w->now) {
		bool forward = known->direction == direction;
		bool begins = forward && w->packet.protocol == IPPROTO_TCP &&
			      (w->packet.tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
		__u32 expires, generation = w->generation;
		__u8 flags;
		int proxy;

		if (!begins) {
			if (known->generation != generation) {
				w->judgement.since = known->created;
				w->judgement.kept = known->name_class;
				reason = judge_flow(known->direction);
				if (!reason)
					reason = dns_only(w);
				if (reason && reason != TO_PROXY) {
					/* It stays known for who began it: else the peer's next packet, where ingress
					 * is open, would begin it anew, and ours pass as the answers. */
					known->expires = w->now + LIFE_DENIED;
					return reason;
				}
				if (reason)
					known->flags |= CONNECTION_PROXY;
				known->generation = generation;
			}
			proxy = forward && known->flags & CONNECTION_PROXY ? TO_PROXY : 0;
			if (known->flags & CONNECTION_HELLO) {
				__u32 offset, data = tcp_data(skb, w, &offset);

				if (data && forward) {
					reason = look_at_hello(skb, w, known->created);
					if (reason)
						return reason;
					known->flags |= CONNECTION_ASKED;
				} else if (data && known->flags & CONNECTION_ASKED) {
					known->flags &= ~CONNECTION_HELLO; /* answered */
				}
			}
			flags = next_flags(&w->packet, known->flags, forward);
			expires = w->now + life(&w->packet, flags);
			if (flags != known->flags)
				known->flags = flags;
			else if (flags & CONNECTION_CLOSING)
				return proxy; /* what is closing is not kept alive */
			if (expires != known->expires)
				known->expires = expires;
			return proxy;
		}
	}
	w->judgement.since = 0;
	w->judgement.kept = 0;
	reason = judge_flow(direction);
	if (!reason)
		reason = dns_only(w);
	if (reason && reason != TO_PROXY) {
		audit_flow(skb, direction, reason);
		return reason;
	}
	if (w->packet.protocol == IPPROTO_TCP && w->flags &&
	    (w->packet.tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		return DROP_CT_MISSING_TCP_ACK_FLAG; /* an answer to nothing: who began is not for it to say */
	fresh.direction = direction;
	fresh.flags = next_flags(&w->packet, reason ? CONNECTION_PROXY : 0, true);
	fresh.created = w->now;
	fresh.expires = w->now + life(&w->packet, fresh.flags);
	fresh.generation = w->generation;
	if (w->judgement.bits >= 0 && (w->judgement.peer & PEER_NAME) == PEER_NAME)
		fresh.name_class = w->judgement.peer & PEER_NUMBER;
	if (fresh.name_class && direction == EGRESS && only_named(w)) {
		__u32 offset;

		fresh.flags |= CONNECTION_HELLO;
		if (tcp_data(skb, w, &offset)) {
			reason = look_at_hello(skb, w, w->now);
			if (reason)
				return reason;
			fresh.flags |= CONNECTION_ASKED;
		}
		judge_flow(EGRESS); /* again, for the event */
	}
	bpf_map_update_elem(table, &key, &fresh, BPF_ANY);
	if (!audit_flow(skb, direction, 0) && !reason) /* the proxy may not be there: told of then */
		tell_flow(skb, direction, 0);
	return reason;
}

/* Is there a connection that this packet belongs to, and who began it? An enum direction, or -1. */
static __always_inline int begun_by(struct work *w)
{
	struct connection_key key = {};
	struct connection *known;
	__u32 slot = w->slot;
	void *table = bpf_map_lookup_elem(&connections, &slot);

	if (!table)
		return -1;
	connection_key_of(&w->packet, &key);
	known = bpf_map_lookup_elem(table, &key);
	return known && known->expires >= w->now ? known->direction : -1;
}

/* An ICMP error passes when the packet inside it, which went the other way, is of a known connection. */
__noinline int related(struct __sk_buff *skb, __u32 direction)
{
	struct work *w = get_work();
	struct connection_key key = {};
	struct connection *known;
	struct address source, destination;
	__u32 slot, offset, inner;
	__be16 words[4];
	void *table;

	if (!w)
		return 0;
	slot = w->slot;
	table = bpf_map_lookup_elem(&connections, &slot);
	if (!table)
		return 0;
	offset = w->packet.l4_offset + 8;
	if (w->packet.protocol == IPPROTO_ICMP) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 ||
		    bpf_ntohs(ip.frag_off) & 0x1fff)
			return 0;
		set_ipv4(&source, ip.saddr);
		set_ipv4(&destination, ip.daddr);
		key.protocol = ip.protocol;
		inner = offset + ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
			return 0;
		__builtin_memcpy(&source, &ip.saddr, sizeof(source));
		__builtin_memcpy(&destination, &ip.daddr, sizeof(destination));
		key.protocol = ip.nexthdr;
		inner = offset + sizeof(ip);
	}
	if (bpf_skb_load_bytes(skb, inner, words, sizeof(words)))
		return 0;
	/* What the endpoint receives an error about, it sent; what it sends one about, it received. */
	key.local = direction == INGRESS ? source : destination;
	key.remote = direction == INGRESS ? destination : source;
	if (!same(&key.local, &w->packet.local))
		return 0;
	if (has_ports(key.protocol)) {
		key.local_port = bpf_ntohs(direction == INGRESS ? words[0] : words[1]);
		key.remote_port = bpf_ntohs(direction == INGRESS ? words[1] : words[0]);
	} else if (key.protocol == IPPROTO_ICMP || key.protocol == IPPROTO_ICMPV6) {
		set_icmp_ports(key.protocol, bpf_ntohs(words[0]) >> 8, bpf_ntohs(words[2]),
			       direction == INGRESS ? EGRESS : INGRESS, &key.local_port, &key.remote_port);
	} else {
		return 0;
	}
	known = bpf_map_lookup_elem(table, &key);
	return known && known->expires >= w->now;
}
