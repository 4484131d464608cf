// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The two programs of a workload's interface, at its host side: what comes in there the workload sent (egress
 * policy), what goes out there it is sent (ingress policy, DNS answers). And `maintain`, for user space.
 *
 * Order of a packet: guard, parse, fragments, DNS, connection, policy. A pass is "next program", so that
 * others' programs still run. Without a row in `endpoints` nothing passes. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "conntrack.h"
#include "guard.h"
#include "learn.h"
#include "tcp_dns.h"
#include "undelivered.h"

static __always_inline int drop(struct __sk_buff *skb, __u32 direction, __u32 reason)
{
	tell_flow(skb, direction, reason);
	return TC_ACT_SHOT;
}

/* What the steps need to know about endpoint and moment. */
static __always_inline struct work *begin(struct __sk_buff *skb, const struct endpoint *e, const struct config *c,
					   __u32 generation)
{
	struct work *w = get_work();
	__u64 ticks = bpf_jiffies64();

	if (!w)
		return NULL;
	if (w->ticks != ticks) { /* a clock costs as much as a look-up */
		w->ticks = ticks;
		w->now_ns = bpf_ktime_get_boot_ns();
		w->now = w->now_ns / 1000000000ULL;
	}
	w->ifindex = skb->ifindex;
	w->endpoint = e->id;
	w->scope = e->scope;
	w->slot = e->slot;
	w->policy = e->policy;
	w->flags = e->flags;
	w->identity = e->identity;
	w->audit_policy = e->audit_policy;
	w->audit_flags = e->audit_flags;
	w->generation = generation;
	w->min_ttl = e->min_ttl;
	w->secret = c->secret;
	__builtin_memset(&w->packet, 0, sizeof(w->packet));
	__builtin_memset(&w->judgement, 0, sizeof(w->judgement));
	w->judgement.bits = -1;
	return w;
}

static __always_inline bool is_dns_port(__u16 port)
{
	__u32 index = port >> 6;
	__u64 *bits = bpf_map_lookup_elem(&dns_ports, &index);

	return bits && *bits >> (port & 63) & 1;
}

static __always_inline void fragment_key_of(struct work *w, struct fragment_key *key, __u32 direction)
{
	key->source = w->packet.local;
	key->destination = w->packet.remote;
	key->id = w->packet.fragment_id;
	key->ifindex = w->ifindex;
	key->protocol = w->packet.protocol;
	key->direction = direction;
}

/* Later fragments go where the first one went: 0 or a drop reason. */
static __always_inline int follow_fragment(struct work *w, __u32 direction)
{
	__u32 enforced = w->flags & (direction == EGRESS ? ENFORCE_EGRESS : ENFORCE_INGRESS);
	struct fragment_key key = {};
	__u32 *until;

	if (!enforced)
		return 0;
	fragment_key_of(w, &key, direction);
	until = bpf_map_lookup_elem(&fragments, &key);
	return until && *until >= w->now ? 0 : DROP_FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND;
}

static __always_inline void remember_fragment(struct work *w, __u32 direction)
{
	struct fragment_key key = {};
	__u32 until = w->now + 30;

	fragment_key_of(w, &key, direction);
	bpf_map_update_elem(&fragments, &key, &until, BPF_ANY);
}

/* The rest of a packet that is no DNS: connection and policy; an action of tc. */
static __always_inline int follow(struct __sk_buff *skb, struct work *w, __u32 direction)
{
	__u32 enforced = w->flags & (direction == EGRESS ? ENFORCE_EGRESS : ENFORCE_INGRESS);
	int reason;

	if (enforced) {
		if (w->packet.flags & PACKET_OPTIONS)
			return drop(skb, direction, DROP_IP_OPTIONS);
		if (w->packet.flags & PACKET_SHORT)
			return drop(skb, direction, DROP_CT_TRUNCATED_OR_INVALID_HEADER);
		if (!has_ports(w->packet.protocol) && w->packet.protocol != IPPROTO_ICMP &&
		    w->packet.protocol != IPPROTO_ICMPV6)
			return drop(skb, direction, DROP_CT_UNKNOWN_L4_PROTOCOL);
	}
	if (is_icmp_error(&w->packet) &&
	    (!enforced || related(skb, direction) || (direction == INGRESS && quotes_question(skb))))
		return PASS;
	/* An error about no connection is ICMP as any other: policy must allow its type. */
	reason = track(skb, direction);
	if (reason == DROP_POLICY_DENIED && is_icmp_error(&w->packet))
		reason = DROP_ICMP_ERROR_UNRELATED;
	if (reason == TO_PROXY) {
		reason = too_many(w) ? DROP_DNS_RATE_LIMITED : to_proxy(skb, 1);
		if (!reason && begins_tcp(&w->packet))
			tell_flow(skb, direction, 0);
	}
	if (reason)
		return drop(skb, direction, reason);
	if (w->packet.flags & PACKET_FRAGMENT)
		remember_fragment(w, direction);
	return PASS;
}

static __always_inline bool is_trusted(const struct address *address)
{
	return bpf_map_lookup_elem(&trusted, address) != NULL;
}

/* Tells of a refused name, rated like drops: `worth_telling` keys on the name in place of the address. */
static __always_inline void tell_refused(struct work *w, __u32 flags)
{
	struct address remote = w->packet.remote;
	__u32 kind = flags & REFUSED_IN_AUDIT ? COUNT_AUDITED : DROP_DNS_REFUSED;
	__u64 left_out;
	bool worth;

	count(kind);
	w->packet.remote.high = w->dns.question;
	worth = worth_telling(w, kind, EGRESS, &left_out);
	w->packet.remote = remote;
	if (!worth)
		return;
	show_name(w);
	begin_name_event(w, EVENT_REFUSED);
	w->told.ttl = left_out;
	w->told.flags = flags;
	w->told.address_count = 0;
	end_name_event(w);
}

/* Answers the question with the code that is right for it. */
static __always_inline int refuse(struct __sk_buff *skb, struct work *w, const struct endpoint *e,
				  const struct config *c)
{
	__u32 code = DNS_REFUSED;

	if (c->refusal == REFUSAL_NXDOMAIN ||
	    (c->refusal == REFUSAL_AUTO && e->search && !w->judgement.name_known && rules_pass(w, e->search)))
		code = DNS_NXDOMAIN;
	if (write_refusal(skb, code))
		return TC_ACT_SHOT;
	/* Into the other end of the veth, past our own program at its way out. */
	return bpf_redirect_peer(skb->ifindex, 0);
}

static __always_inline bool over_rate(struct work *w, const struct config *c)
{
	__u32 slot = w->slot;

	return c->question_ns &&
	       overflows(bpf_map_lookup_elem(&question_rates, &slot), w->now_ns, c->question_ns, c->burst_ns);
}

/* A question that passes, as all policies together see it: told of where they would not let it pass. Whether one
 * in audit lets it through by a DNS rule: its names are learned. */
__noinline int audit_question(struct __sk_buff *skb)
{
	struct work *w = get_work();
	int reason, teaches = 0;

	if (!w)
		return 0;
	reason = judge_audited(EGRESS);
	if (reason && w->said.dns) /* else it is told of as a flow */
		tell_audited(skb, EGRESS, reason, 0);
	else if (!reason && w->judgement.dns && !w->judgement.name_ok)
		tell_refused(w, REFUSED_IN_AUDIT);
	else if (!reason)
		teaches = w->judgement.dns != 0;
	w->judgement = w->said;
	return teaches;
}

/* A UDP packet to a port where questions are judged. */
static __always_inline int question(struct __sk_buff *skb, struct work *w, const struct endpoint *e,
				    const struct config *c)
{
	bool readable, teaches = false;
	int reason;

	readable = !load_message(skb, w, MAX_QUESTION + 1) && w->dns.length <= MAX_QUESTION && !read_asking(w);
	if (readable && is_judged(w)) {
		w->judgement.dns = w->dns.verdict & VERDICT_BY_NAME;
		w->judgement.name_ok = 1;
	} else {
		if (begun_by(w) == INGRESS) /* the workload is the server here */
			return follow(skb, w, EGRESS);
		if (readable) {
			w->judgement.name_class = class_of_question(w);
			w->judgement.type_bit = type_bit(w->dns.query_type);
		}
		reason = judge_flow(EGRESS);
		if (reason)
			return drop(skb, EGRESS, reason);
		if (readable)
			remember(w, !w->audit_policy && (!w->judgement.dns || w->judgement.name_ok));
	}
	if (w->flags & ENFORCE_EGRESS) {
		if (over_rate(w, c))
			return drop(skb, EGRESS, DROP_DNS_RATE_LIMITED);
		if (readable && c->longest_label && w->dns.longest > c->longest_label) {
			tell_flow(skb, EGRESS, DROP_DNS_LABEL_TOO_LONG);
			return refuse(skb, w, e, c);
		}
	}
	if (w->audit_policy && readable && (!w->judgement.dns || w->judgement.name_ok))
		teaches = audit_question(skb);
	if (!w->judgement.dns) {
		if (readable) {
			teaches |= is_trusted(&w->packet.remote);
			note_question(teaches);
			if (teaches && w->flags & LEARNS_NAMES)
				clamp_edns(skb);
		}
		return follow(skb, w, EGRESS);
	}
	if (!readable)
		return drop(skb, EGRESS, skb->gso_size ? DROP_DNS_SEGMENTED : DROP_DNS_MALFORMED);
	if (w->packet.flags & PACKET_OPTIONS)
		return drop(skb, EGRESS, DROP_IP_OPTIONS);
	if (w->judgement.name_ok) {
		note_question(1);
		clamp_edns(skb);
		return PASS;
	}
	tell_refused(w, 0);
	return refuse(skb, w, e, c);
}

/* A TCP packet to such a port. */
static __always_inline int tcp_question(struct __sk_buff *skb, struct work *w)
{
	int action = follow(skb, w, EGRESS);

	if (action == PASS && !skb->mark && may_teach(w) && !too_many(w))
		to_proxy(skb, 0);
	return action;
}

/* A UDP packet from a port where questions are judged. What nobody asked for drops, and so does what cannot be
 * read, unless it belongs to a connection that is no DNS. */
static __always_inline int answer(struct __sk_buff *skb, struct work *w)
{
	__u32 enforced = w->flags & ENFORCE_EGRESS;
	int asked, begun;

	if (load_message(skb, w, MAX_ANSWER)) {
		if (enforced && begun_by(w) < 0)
			return drop(skb, INGRESS,
				    w->packet.flags & PACKET_FRAGMENT ? DROP_IP_FRAGMENTATION_NOT_SUPPORTED :
									DROP_DNS_MALFORMED);
		return follow(skb, w, INGRESS);
	}
	if (!(word_at(w, 2) & DNS_QR))
		return follow(skb, w, INGRESS);
	if (!read_question()) {
		asked = take_question();
		if (asked) {
			if (asked & 2 && !(w->dns.flags & DNS_RCODE) && w->dns.answers && learn() && enforced)
				return drop(skb, INGRESS, DROP_DNS_MALFORMED);
			return PASS;
		}
	}
	begun = begun_by(w);
	if (enforced && begun != INGRESS)
		return drop(skb, INGRESS, DROP_DNS_UNSOLICITED);
	return follow(skb, w, INGRESS);
}

SEC("tc")
int from_endpoint(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, zero = 0;
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	__u32 generation = c ? *(volatile __u32 *)&c->generation : 0; /* before the row, which is written before it */
	struct endpoint *e = bpf_map_lookup_elem(&endpoints, &ifindex);
	struct work *w;
	struct ethhdr eth;
	int reason;

	if (!e || !c || !(w = begin(skb, e, c, generation))) {
		count(DROP_NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION);
		return TC_ACT_SHOT;
	}
	if (skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD))
		return drop(skb, EGRESS, DROP_VLAN_FILTERED);
	if (load(skb, 0, &eth, sizeof(eth)))
		return drop(skb, EGRESS, DROP_INVALID_PACKET_DROPPED);
	if (!same_mac(eth.h_source, e->mac))
		return drop(skb, EGRESS, DROP_INVALID_SOURCE_MAC);
	if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		reason = guard_arp(skb, e, c);
		return reason ? drop(skb, EGRESS, reason) : PASS;
	}
	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
		return w->flags & ENFORCE_EGRESS ? drop(skb, EGRESS, DROP_UNSUPPORTED_L3_PROTOCOL) : PASS;
	reason = parse(skb, EGRESS);
	if (reason)
		return drop(skb, EGRESS, reason);
	if (is_neighbour_discovery(&w->packet)) {
		reason = guard_neighbour(skb, e, c, &w->packet);
		if (reason == QUIET)
			return TC_ACT_SHOT;
		return reason ? drop(skb, EGRESS, reason) : PASS;
	}
	if (is_listener_report(&w->packet))
		return TC_ACT_SHOT;
	if (!owns(e, &w->packet.local))
		return drop(skb, EGRESS, DROP_INVALID_SOURCE_IP);
	if (w->packet.flags & PACKET_MAPPED)
		return drop(skb, EGRESS, DROP_MAPPED_ADDRESS);
	if (w->packet.flags & PACKET_LATER_FRAGMENT) {
		reason = follow_fragment(w, EGRESS);
		return reason ? drop(skb, EGRESS, reason) : PASS;
	}
	if (is_dhcp_server(&w->packet))
		return drop(skb, EGRESS, DROP_DHCP_SERVER);
	if (w->packet.protocol == IPPROTO_UDP && is_dns_port(w->packet.remote_port))
		return question(skb, w, e, c);
	if (w->flags & LEARNS_NAMES && w->packet.protocol == IPPROTO_TCP && is_dns_port(w->packet.remote_port))
		return tcp_question(skb, w);
	return follow(skb, w, EGRESS);
}

SEC("tc")
int to_endpoint(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, zero = 0;
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	__u32 generation = c ? *(volatile __u32 *)&c->generation : 0; /* before the row, which is written before it */
	struct endpoint *e = bpf_map_lookup_elem(&endpoints, &ifindex);
	struct work *w;
	int reason;

	if (!e || !c || !(w = begin(skb, e, c, generation))) {
		count(DROP_NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION);
		return TC_ACT_SHOT;
	}
	if (skb->vlan_present)
		return drop(skb, INGRESS, DROP_VLAN_FILTERED);
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return PASS;
	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
		return w->flags & ENFORCE_INGRESS ? drop(skb, INGRESS, DROP_UNSUPPORTED_L3_PROTOCOL) : PASS;
	reason = parse(skb, INGRESS);
	if (reason)
		return drop(skb, INGRESS, reason);
	/* What comes back to where it came from is a workload that meets itself behind a Service: nft gave it the
	 * gateway's address, and no policy may keep a pod from itself (Kubernetes), as none keeps out the host. */
	if (!skb->ingress_ifindex || skb->ingress_ifindex == skb->ifindex)
		w->packet.flags |= PACKET_LOCAL_ORIGIN;
	if (is_neighbour_discovery(&w->packet)) {
		if (w->packet.hop_limit == 255 && (w->packet.icmp_type == ICMP6_NEIGHBOR_SOLICITATION ||
						   w->packet.icmp_type == ICMP6_NEIGHBOR_ADVERTISEMENT))
			return PASS;
		return drop(skb, INGRESS, DROP_FORBIDDEN_ICMPV6_MESSAGE);
	}
	if (is_listener_report(&w->packet)) /* no router carries on what comes from a link-local address */
		return is_link_local(&w->packet.remote) ? PASS : drop(skb, INGRESS, DROP_FORBIDDEN_ICMPV6_MESSAGE);
	if (w->packet.flags & PACKET_MAPPED)
		return drop(skb, INGRESS, DROP_MAPPED_ADDRESS);
	if (w->packet.flags & PACKET_LATER_FRAGMENT) {
		reason = follow_fragment(w, INGRESS);
		return reason ? drop(skb, INGRESS, reason) : PASS;
	}
	if (w->packet.protocol == IPPROTO_UDP && is_dns_port(w->packet.remote_port))
		return answer(skb, w);
	return follow(skb, w, INGRESS);
}

/* Runs by BPF_PROG_TEST_RUN only, on a "packet" that is an Ethernet header and a struct maintain_request:
 * user space changes grants by the code that packets change them by. It shares the CPU with packets, so it
 * must not touch `work`. (A `syscall` program would be neater, but may not look into a trie.) */
SEC("tc")
int maintain(struct __sk_buff *skb)
{
	struct maintain_request request;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &request, sizeof(request)))
		return -100;
	if (request.operation == MAINTAIN_GRANT)
		return add_grant(request.address.high, request.address.low, request.slot, request.name_class,
				 request.deadline);
	if (request.operation == MAINTAIN_EXPIRE)
		return expire_page(request.slot, &request.address, request.page, request.deadline);
	return -100;
}

/* Into the object's BTF with all members: inner maps need it to be made, the layout test to compare. */
#define IN_BTF(type, name) const type *btf_##name __attribute__((unused))

IN_BTF(struct connection_key, connection_key);
IN_BTF(struct connection, connection);
IN_BTF(struct grant_key, grant_key);
IN_BTF(struct grant_page, grant_page);
IN_BTF(struct grant_hand, grant_hand);
IN_BTF(struct pending_set, pending_set);
IN_BTF(struct flow_event, flow_event);
IN_BTF(struct name_event, name_event);
IN_BTF(enum direction, direction);
IN_BTF(enum refusal, refusal);
IN_BTF(enum endpoint_flags, endpoint_flags);
IN_BTF(enum peer_kind, peer_kind);
IN_BTF(enum policy_flags, policy_flags);
IN_BTF(enum ipcache_flags, ipcache_flags);
IN_BTF(enum identity, identity);
IN_BTF(enum class_flags, class_flags);
IN_BTF(enum drop_reason, drop_reason);
IN_BTF(enum event_type, event_type);
IN_BTF(enum learned_flags, learned_flags);
IN_BTF(enum connection_flags, connection_flags);
IN_BTF(enum maintain_operation, maintain_operation);
IN_BTF(enum grant_result, grant_result);
IN_BTF(struct maintain_request, maintain_request);

char LICENSE[] SEC("license") = "Dual BSD/GPL";
