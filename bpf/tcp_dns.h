/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* DNS over TCP is led to the proxy of the agent, which judges each message by the same rules and grants what an
 * answer teaches before it passes it on. The packet keeps its addresses: it is given to the proxy's socket, and
 * its mark has a rule route it to this host's own. Without the agent there is no such socket, and it drops. */
#pragma once

#include "conntrack.h"

/* New connections of one endpoint to the proxy, which is one process for all: 100 a second, 200 at once. */
#define PROXY_CONNECTION_NS 10000000ULL
#define PROXY_BURST_NS 2000000000ULL

static __always_inline bool begins_tcp(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* A bucket that leaks: each use fills it for `cost_ns`, and it holds `burst_ns`. Two CPUs may let one too many
 * through. */
static __always_inline bool overflows(__u64 *until, __u64 now_ns, __u64 cost_ns, __u64 burst_ns)
{
	__u64 filled;

	if (!until)
		return false;
	filled = *until > now_ns ? *until : now_ns;
	if (filled - now_ns > burst_ns)
		return true;
	*until = filled + cost_ns;
	return false;
}

/* Does the packet begin a connection beyond what its endpoint may have of the proxy? */
static __always_inline bool too_many(struct work *w)
{
	__u32 slot = w->slot;

	return begins_tcp(&w->packet) && overflows(bpf_map_lookup_elem(&proxy_rates, &slot), w->now_ns,
						   PROXY_CONNECTION_NS, PROXY_BURST_NS);
}

/* The sockets' view of the packet. `port` not 0: the proxy's own address in place of the server's. */
static __always_inline void tuple_of(const struct packet *p, struct bpf_sock_tuple *tuple, __u16 port)
{
	const __u32 *local = (const __u32 *)&p->local, *remote = (const __u32 *)&p->remote;

	if (p->flags & PACKET_IPV6) {
		__builtin_memcpy(tuple->ipv6.saddr, local, 16);
		if (port)
			tuple->ipv6.daddr[3] = bpf_htonl(1);
		else
			__builtin_memcpy(tuple->ipv6.daddr, remote, 16);
		tuple->ipv6.sport = bpf_htons(p->local_port);
		tuple->ipv6.dport = bpf_htons(port ? port : p->remote_port);
		return;
	}
	tuple->ipv4.saddr = local[3];
	tuple->ipv4.daddr = port ? bpf_htonl(0x7f000001) : remote[3];
	tuple->ipv4.sport = bpf_htons(p->local_port);
	tuple->ipv4.dport = bpf_htons(port ? port : p->remote_port);
}

/* Gives the packet to the connection it is of, if the proxy has that. 0, or a drop reason. */
static __always_inline int to_connection(struct __sk_buff *skb, struct work *w, const struct config *c)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *found, *whole;
	long failed;

	tuple_of(&w->packet, &tuple, 0);
	if (w->packet.flags & PACKET_IPV6)
		found = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	else
		found = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!found)
		return DROP_SOCKET_LOOKUP_FAILED;
	/* What is a connection in full tells by its mark whose it is; one that is opening or over cannot. */
	whole = bpf_sk_fullsock(found);
	if (found->state == BPF_TCP_LISTEN || (whole && whole->mark != c->socket_mark) ||
	    (!whole && found->state == BPF_TCP_TIME_WAIT && begins_tcp(&w->packet))) {
		bpf_sk_release(found);
		return DROP_SOCKET_LOOKUP_FAILED;
	}
	failed = bpf_sk_assign(skb, found, 0);
	bpf_sk_release(found);
	return failed ? DROP_SOCKET_ASSIGN_FAILED : 0;
}

/* Gives the packet to the proxy's listener. 0, or a drop reason. */
static __always_inline int to_listener(struct __sk_buff *skb, struct work *w, const struct config *c)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *found;
	long failed;

	if (w->packet.flags & PACKET_IPV6) {
		tuple_of(&w->packet, &tuple, c->proxy_port6);
		found = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple_of(&w->packet, &tuple, c->proxy_port4);
		found = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!found)
		return DROP_SOCKET_LOOKUP_FAILED;
	if (found->state != BPF_TCP_LISTEN || found->mark != c->socket_mark) {
		bpf_sk_release(found);
		return DROP_SOCKET_LOOKUP_FAILED;
	}
	failed = bpf_sk_assign(skb, found, 0);
	bpf_sk_release(found);
	return failed ? DROP_SOCKET_ASSIGN_FAILED : 0;
}

/* 0 when the proxy has it, else a drop reason. `always`: what is of no connection goes to the listener, which
 * resets it; else only what begins one does. */
__noinline int to_proxy(struct __sk_buff *skb, __u32 always)
{
	__u32 zero = 0;
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	struct work *w = get_work();
	int reason;

	if (!w || !c || !c->proxy_mark)
		return DROP_SOCKET_LOOKUP_FAILED;
	reason = to_connection(skb, w, c);
	if (reason == DROP_SOCKET_LOOKUP_FAILED && (always || begins_tcp(&w->packet)))
		reason = to_listener(skb, w, c);
	if (!reason)
		skb->mark = c->proxy_mark;
	return reason;
}

/* TCP that passes whole, since policy lets every name pass or a resolver is trusted: of a workload that names peers
 * by DNS name the proxy learns from it, as is done over UDP. Where there is no proxy it just passes: that opens
 * nothing. What began without the proxy goes on without it. */
static __always_inline bool may_teach(struct work *w)
{
	return w->flags & ENFORCE_EGRESS && w->flags & LEARNS_NAMES &&
	       (!begins_tcp(&w->packet) || w->judgement.dns || bpf_map_lookup_elem(&trusted, &w->packet.remote));
}
