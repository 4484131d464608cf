/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* ICMP errors about questions. A question has no connection, so an error about one is known by what it quotes:
 * the whole question, which must be on its way. It stays so: an answer may still come. */
#pragma once

#include "questions.h"

/* Where the quoted UDP header stands; 0: none of ours is quoted. The quoted packet's far end into `remote`. */
static __always_inline __u32 quoted_udp(struct __sk_buff *skb, struct work *w, struct address *remote)
{
	__u32 offset = w->packet.l4_offset + 8;
	struct address local;

	if (w->packet.flags & PACKET_IPV6) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6 || ip.nexthdr != IPPROTO_UDP)
			return 0;
		__builtin_memcpy(&local, &ip.saddr, sizeof(local));
		__builtin_memcpy(remote, &ip.daddr, sizeof(*remote));
		offset += sizeof(ip);
	} else {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5 ||
		    ip.protocol != IPPROTO_UDP || bpf_ntohs(ip.frag_off) & 0x3fff)
			return 0;
		set_ipv4(&local, ip.saddr);
		set_ipv4(remote, ip.daddr);
		offset += ip.ihl * 4;
	}
	return same(&local, &w->packet.local) ? offset : 0;
}

__noinline int quotes_question(struct __sk_buff *skb)
{
	struct work *w = get_work();
	struct address remote = {};
	struct packet error;
	__u32 udp, length;
	__be16 words[4];
	bool asked;

	if (!w)
		return 0;
	udp = quoted_udp(skb, w, &remote);
	if (!udp || bpf_skb_load_bytes(skb, udp, words, sizeof(words)))
		return 0;
	length = bpf_ntohs(words[2]) - sizeof(struct udphdr);
	HIDE(length);
	if (length < DNS_HEADER + 5 || length > MAX_QUESTION)
		return 0;
	if (bpf_skb_load_bytes(skb, udp + sizeof(struct udphdr), w->message, length))
		return 0;
	w->dns.length = length;
	if (read_question() || w->dns.flags & DNS_QR)
		return 0;
	error = w->packet;
	w->packet.remote = remote;
	w->packet.local_port = bpf_ntohs(words[0]);
	w->packet.remote_port = bpf_ntohs(words[1]);
	asked = is_pending(w, question_hash(w));
	w->packet = error;
	return asked;
}
