/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From bytes to `struct packet`. Says what is there; what may pass is decided by others, but for what no
 * workload has a reason to send. All offsets count from the Ethernet header. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "work.h"

#define MAX_EXTENSIONS 6

#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMP_REPLY 14
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_ROUTER_SOLICITATION 133
#define ICMP6_ROUTER_ADVERTISEMENT 134
#define ICMP6_NEIGHBOR_SOLICITATION 135
#define ICMP6_NEIGHBOR_ADVERTISEMENT 136
#define ICMP6_REDIRECT 137

static __always_inline bool is_icmp_error(const struct packet *p)
{
	if (p->protocol == IPPROTO_ICMP)
		return p->icmp_type == 3 || p->icmp_type == 4 || p->icmp_type == 5 || p->icmp_type == 11 ||
		       p->icmp_type == 12;
	return p->protocol == IPPROTO_ICMPV6 && p->icmp_type < 128;
}

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static __always_inline void set_ports(struct packet *p, __be16 source, __be16 destination, __u32 direction)
{
	p->local_port = bpf_ntohs(direction == EGRESS ? source : destination);
	p->remote_port = bpf_ntohs(direction == EGRESS ? destination : source);
}

/* What tells one ICMP exchange from another, in place of ports: an echo or timestamp has its identifier and who
 * asked; any other type is an exchange of its own for each direction, so that none lets another one pass. */
static __always_inline void set_icmp_ports(__u8 protocol, __u8 type, __u16 identifier, __u32 direction,
					   __u16 *local, __u16 *remote)
{
	bool is_v4 = protocol == IPPROTO_ICMP, answers;

	answers = is_v4 ? type == ICMP_ECHO_REPLY || type == ICMP_TIMESTAMP_REPLY : type == ICMP6_ECHO_REPLY;
	if (answers)
		type = !is_v4 ? ICMP6_ECHO_REQUEST : type == ICMP_ECHO_REPLY ? ICMP_ECHO_REQUEST : ICMP_TIMESTAMP;
	if (is_v4 ? type == ICMP_ECHO_REQUEST || type == ICMP_TIMESTAMP : type == ICMP6_ECHO_REQUEST)
		*local = identifier;
	*remote = (__u16)type << 8 | (1 + (answers ? !direction : direction));
}

static __always_inline void parse_l4(struct __sk_buff *skb, struct packet *p, __u32 direction)
{
	__u32 offset = p->l4_offset;

	if (has_ports(p->protocol)) {
		__be16 words[4]; /* the first eight octets: ports, then what differs */

		if (p->l4_length < 8 || load(skb, offset, words, sizeof(words))) {
			p->flags |= PACKET_SHORT;
			return;
		}
		set_ports(p, words[0], words[1], direction);
		if (p->protocol == IPPROTO_UDP && bpf_ntohs(words[2]) == p->l4_length)
			p->flags |= PACKET_UDP_WHOLE;
		if (p->protocol == IPPROTO_TCP &&
		    (p->l4_length < sizeof(struct tcphdr) || load(skb, offset + 13, &p->tcp_flags, 1)))
			p->flags |= PACKET_SHORT;
	} else if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6) {
		__u8 head[8];

		if (p->l4_length < 8 || load(skb, offset, head, sizeof(head))) {
			p->flags |= PACKET_SHORT;
			return;
		}
		p->icmp_type = head[0];
		p->icmp_code = head[1];
		set_icmp_ports(p->protocol, p->icmp_type, (__u16)head[4] << 8 | head[5], direction, &p->local_port,
			       &p->remote_port);
	}
}

static __always_inline void set_sides(struct packet *p, const struct address *source,
				      const struct address *destination, __u32 direction)
{
	p->local = direction == EGRESS ? *source : *destination;
	p->remote = direction == EGRESS ? *destination : *source;
}

static __always_inline int parse_ipv4(struct __sk_buff *skb, struct packet *p, __u32 direction)
{
	struct address source, destination;
	__u32 header, total, fragment;
	struct iphdr ip;

	if (load(skb, ETH_HLEN, &ip, sizeof(ip)))
		return DROP_INVALID_PACKET_DROPPED;
	header = ip.ihl * 4;
	total = bpf_ntohs(ip.tot_len);
	if (!total && skb->gso_segs > 1) /* BIG TCP */
		total = skb->len - ETH_HLEN;
	if (ip.version != 4 || header < sizeof(ip) || total < header || ETH_HLEN + total > skb->len)
		return DROP_INVALID_PACKET_DROPPED;
	set_ipv4(&source, ip.saddr);
	set_ipv4(&destination, ip.daddr);
	set_sides(p, &source, &destination, direction);
	p->protocol = ip.protocol;
	p->hop_limit = ip.ttl;
	p->l4_offset = ETH_HLEN + header;
	p->l4_length = total - header;
	if (header > sizeof(ip))
		p->flags |= PACKET_OPTIONS;
	fragment = bpf_ntohs(ip.frag_off);
	if (fragment & 0x3fff) { /* more fragments, or an offset */
		p->flags |= PACKET_FRAGMENT;
		p->fragment_id = ip.id;
		if (fragment & 0x1fff) {
			p->flags |= PACKET_LATER_FRAGMENT;
			return 0;
		}
	}
	parse_l4(skb, p, direction);
	return 0;
}

static __always_inline int parse_ipv6(struct __sk_buff *skb, struct packet *p, __u32 direction)
{
	struct address source, destination;
	__u32 offset = ETH_HLEN + sizeof(struct ipv6hdr), end;
	struct ipv6hdr ip;
	__u8 next;

	if (load(skb, ETH_HLEN, &ip, sizeof(ip)))
		return DROP_INVALID_PACKET_DROPPED;
	end = offset + bpf_ntohs(ip.payload_len);
	if (!ip.payload_len && skb->gso_segs > 1) /* BIG TCP */
		end = skb->len;
	if (ip.version != 6 || end > skb->len)
		return DROP_INVALID_PACKET_DROPPED;
	p->flags |= PACKET_IPV6;
	__builtin_memcpy(&source, &ip.saddr, sizeof(source));
	__builtin_memcpy(&destination, &ip.daddr, sizeof(destination));
	if (is_ipv4(&source) || is_ipv4(&destination))
		p->flags |= PACKET_MAPPED;
	set_sides(p, &source, &destination, direction);
	p->hop_limit = ip.hop_limit;
	next = ip.nexthdr;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		__u8 head[8];

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT)
			break;
		if (offset + 8 > end || load(skb, offset, head, sizeof(head)))
			return DROP_CT_TRUNCATED_OR_INVALID_HEADER;
		if (next == IPPROTO_FRAGMENT) {
			__u32 where = (__u32)head[2] << 8 | head[3];

			__builtin_memcpy(&p->fragment_id, head + 4, 4);
			if (where & 0xfff9)
				p->flags |= PACKET_FRAGMENT;
			offset += 8;
			next = head[0];
			if (where & 0xfff8) {
				p->flags |= PACKET_LATER_FRAGMENT;
				break;
			}
			continue;
		}
		if (next == IPPROTO_ROUTING && head[3]) /* segments left */
			p->flags |= PACKET_OPTIONS;
		offset += ((__u32)head[1] + 1) * 8;
		next = head[0];
	}
	p->protocol = next;
	p->l4_offset = offset;
	if (offset > end)
		return DROP_CT_TRUNCATED_OR_INVALID_HEADER;
	p->l4_length = end - offset;
	if (!(p->flags & PACKET_LATER_FRAGMENT))
		parse_l4(skb, p, direction);
	return 0;
}

/* Fills `w->packet`; 0 or a drop reason. */
__noinline int parse(struct __sk_buff *skb, __u32 direction)
{
	struct work *w = get_work();

	if (!w)
		return DROP_INVALID_PACKET_DROPPED;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return parse_ipv4(skb, &w->packet, direction);
	return parse_ipv6(skb, &w->packet, direction);
}
