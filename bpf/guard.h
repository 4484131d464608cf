/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What comes before policy, for every endpoint, enforced or not: a workload speaks for its own addresses and
 * to its gateway, and is nobody's router, DHCP server or switch. */
#pragma once

#include "parse.h"

#define ARP_LENGTH 28

/* The first packet after these is not worth an event: every kernel sends them when a link comes up. */
#define QUIET 1

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

static __always_inline bool owns(const struct endpoint *e, const struct address *address)
{
	for (__u32 i = 0; i < MAX_ADDRESSES; i++)
		if (i < e->address_count && same(&e->addresses[i], address))
			return true;
	return false;
}

static __always_inline bool is_link_local(const struct address *address)
{
	const __u8 *octets = (const __u8 *)address;

	return octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80;
}

/* Does an address lead no further than the link: fe80::/10, ff02::/16? */
static __always_inline bool is_of_link(const struct address *address)
{
	const __u8 *octets = (const __u8 *)address;

	return is_link_local(address) || (octets[0] == 0xff && octets[1] == 0x02);
}

/* ARP from the endpoint: 0 or a drop reason. */
static __always_inline int guard_arp(struct __sk_buff *skb, const struct endpoint *e, const struct config *c)
{
	struct address sender, target;
	__u8 arp[ARP_LENGTH];
	__be32 ipv4;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, arp, sizeof(arp)))
		return DROP_INVALID_PACKET_DROPPED;
	if (!same_mac(arp + 8, e->mac))
		return DROP_INVALID_SOURCE_MAC;
	__builtin_memcpy(&ipv4, arp + 14, 4);
	set_ipv4(&sender, ipv4);
	if (ipv4 && !owns(e, &sender)) /* 0 is a probe: RFC 5227 */
		return DROP_INVALID_SOURCE_IP;
	__builtin_memcpy(&ipv4, arp + 24, 4);
	set_ipv4(&target, ipv4);
	return same(&target, &c->gateway4) || owns(e, &target) ? 0 : DROP_FORBIDDEN_ARP;
}

/* Neighbour discovery from the endpoint: 0, a drop reason or QUIET. */
static __always_inline int guard_neighbour(struct __sk_buff *skb, const struct endpoint *e, const struct config *c,
					   const struct packet *p)
{
	struct address target;
	bool ours;

	if (p->icmp_type == ICMP6_ROUTER_SOLICITATION)
		return QUIET;
	if (p->icmp_type != ICMP6_NEIGHBOR_SOLICITATION && p->icmp_type != ICMP6_NEIGHBOR_ADVERTISEMENT)
		return DROP_FORBIDDEN_ICMPV6_MESSAGE;
	if (p->hop_limit != 255 || p->l4_length < 24 ||
	    bpf_skb_load_bytes(skb, p->l4_offset + 8, &target, sizeof(target)))
		return DROP_INVALID_PACKET_DROPPED;
	if (!is_of_link(&p->remote)) /* routers would carry it on, past policy */
		return DROP_FORBIDDEN_ICMPV6_MESSAGE;
	ours = owns(e, &p->local) || (is_link_local(&p->local) && !same(&p->local, &c->gateway6));
	if (p->icmp_type == ICMP6_NEIGHBOR_ADVERTISEMENT)
		return ours && (owns(e, &target) || same(&target, &p->local)) ? 0 : DROP_INVALID_SOURCE_IP;
	if (!p->local.high && !p->local.low) /* is my address free? */
		return owns(e, &target) || (is_link_local(&target) && !same(&target, &c->gateway6)) ? 0 : QUIET;
	if (!ours)
		return DROP_INVALID_SOURCE_IP;
	return same(&target, &c->gateway6) || owns(e, &target) ? 0 : DROP_FORBIDDEN_ICMPV6_MESSAGE;
}

static __always_inline bool is_neighbour_discovery(const struct packet *p)
{
	return p->protocol == IPPROTO_ICMPV6 && p->icmp_type >= ICMP6_ROUTER_SOLICITATION &&
	       p->icmp_type <= ICMP6_REDIRECT && (p->flags & (PACKET_IPV6 | PACKET_LATER_FRAGMENT)) == PACKET_IPV6;
}

/* Multicast listener reports: nobody routes multicast for a workload. */
static __always_inline bool is_listener_report(const struct packet *p)
{
	return p->flags & PACKET_IPV6 && p->protocol == IPPROTO_ICMPV6 &&
	       ((p->icmp_type >= 130 && p->icmp_type <= 132) || p->icmp_type == 143);
}

static __always_inline bool is_dhcp_server(const struct packet *p)
{
	return p->protocol == IPPROTO_UDP && ((p->local_port == 67 && p->remote_port == 68) ||
					      (p->local_port == 547 && p->remote_port == 546));
}
