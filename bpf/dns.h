/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reading DNS messages (RFC 1035) out of `w->message`, and writing the one answer we give ourselves.
 *
 * Whatever is not read for sure is an error: a question that cannot be judged and an answer that cannot be
 * learned from. Nothing here decides about packets. */
#pragma once

#include "events.h"
#include "names.h"
#include "parse.h"
#include "recall.h"

#define DNS_HEADER 12
#define DNS_QR 0x8000
#define DNS_OPCODE 0x7800
#define DNS_TC 0x0200
#define DNS_RD 0x0100
#define DNS_RA 0x0080
#define DNS_RCODE 0x000f
#define DNS_NXDOMAIN 3
#define DNS_REFUSED 5

#define TYPE_A 1
#define TYPE_CNAME 5
#define TYPE_AAAA 28
#define TYPE_OPT 41
#define TYPE_SVCB 64
#define TYPE_HTTPS 65
#define CLASS_IN 1
#define SVCB_IPV4HINT 4
#define SVCB_IPV6HINT 6
#define EDE 15
#define EDE_BLOCKED 15
#define MAX_JUMPS 16
#define MAX_PARAMS 8
#define MAX_HINTS 8
#define EDNS_SIZE 1232 /* DNS flag day 2020: what passes any path whole */
#define MAX_TTL 604800 /* RFC 8767, 4: a week is as long as anyone should believe */

#define FNV_PRIME 0x100000001b3ULL
#define MESSAGE_MASK (MAX_ANSWER - 1)

static __always_inline __u8 byte_at(struct work *w, __u32 offset)
{
	HIDE(offset);
	return w->message[offset & MESSAGE_MASK];
}

static __always_inline __u16 word_at(struct work *w, __u32 offset)
{
	return (__u16)byte_at(w, offset) << 8 | byte_at(w, offset + 1);
}

static __always_inline __u32 long_at(struct work *w, __u32 offset)
{
	return (__u32)word_at(w, offset) << 16 | word_at(w, offset + 2);
}

static __always_inline __u8 lower(__u8 c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* The UDP payload into `w->message`. Not of a GSO super-packet: it could hide further messages (and whoever made
 * it may have left gso_segs at 0, so that its size is what tells). */
static __always_inline int load_message(struct __sk_buff *skb, struct work *w, __u32 limit)
{
	__u32 length = w->packet.l4_length - sizeof(struct udphdr);
	__u32 offset = w->packet.l4_offset + sizeof(struct udphdr);

	if ((w->packet.flags & (PACKET_UDP_WHOLE | PACKET_FRAGMENT)) != PACKET_UDP_WHOLE || skb->gso_size)
		return -1;
	if (length > limit)
		length = limit;
	HIDE(length);
	if (length < DNS_HEADER + 5 || length > MAX_ANSWER)
		return -1;
	if (bpf_skb_load_bytes(skb, offset, w->message, length))
		return -1;
	w->dns.length = length;
	return 0;
}

/* The name at `offset`, which must not be compressed, into `w->name` and its hash into `w->dns.hash`;
 * returns the offset after it, or -1. A dot or NUL inside a label cannot be told from a name's own: refused. */
__noinline int read_name(__u32 offset)
{
	struct work *w = get_work();
	__u64 hash;

	if (!w)
		return -1;
	hash = w->secret;
	w->dns.left = 0;
	for (__u32 i = 0; i < MAX_NAME; i++) {
		__u32 where = offset + i, at = i - 1, left = w->dns.left;
		__u8 c, shown;

		if (where >= w->dns.length)
			return -1;
		c = byte_at(w, where);
		if (left) {
			if (c == '.' || !c)
				return -1;
			c = lower(c);
			shown = c;
			left--;
		} else {
			if (c > 63)
				return -1;
			shown = '.';
			left = c;
		}
		w->dns.left = left;
		hash = (hash ^ c) * FNV_PRIME;
		HIDE(at);
		if (i)
			w->name[at & 0xff] = shown;
		if (c)
			continue;
		if (!i)
			w->name[0] = '.';
		w->dns.hash = hash;
		w->dns.name_length = i ? i : 1;
		return where + 1;
	}
	return -1;
}

/* The offset after the uncompressed name at `offset`, or -1. Looks at lengths only. */
__noinline int skip_name(__u32 offset)
{
	struct work *w = get_work();
	__u32 at = offset;

	if (!w)
		return -1;
	w->dns.longest = 0;
	for (__u32 i = 0; i < MAX_NAME / 2 + 1; i++) {
		__u8 length;

		if (at >= w->dns.length || at - offset >= MAX_NAME)
			return -1;
		length = byte_at(w, at);
		if (!length)
			return at + 1;
		if (length > 63)
			return -1;
		if (length > w->dns.longest)
			w->dns.longest = length;
		at += 1 + length;
	}
	return -1;
}

/* One octet of a name; 0: go on, 1: that was its end, -1: no name. */
__noinline int step_name(void)
{
	struct work *w = get_work();
	__u32 where;
	__u8 c;

	if (!w)
		return -1;
	where = w->dns.at;
	if (where + 1 > w->dns.end)
		return -1;
	c = byte_at(w, where);
	if (w->dns.left) {
		w->dns.left -= 1;
		c = lower(c);
	} else if (c >= 0xc0) {
		if (where + 2 > w->dns.end)
			return -1;
		if (!w->dns.after)
			w->dns.after = where + 2;
		where = (__u32)(c & 0x3f) << 8 | byte_at(w, where + 1);
		/* Each pointer must lead further back than where this part began, and what is there must end before
		 * it: no loops, no overlaps. */
		if (where >= w->dns.lowest || where < DNS_HEADER)
			return -1;
		w->dns.end = w->dns.lowest;
		w->dns.lowest = where;
		w->dns.at = where;
		return 0;
	} else if (c > 63) {
		return -1;
	} else {
		w->dns.left = c;
		if (!c)
			w->dns.ended = 1;
	}
	w->dns.hash = (w->dns.hash ^ c) * FNV_PRIME;
	w->dns.at = where + 1;
	w->dns.octets += 1;
	return w->dns.ended;
}

/* The hash of the name at `offset`, following compression backwards only, into `w->dns.hash`; returns the
 * offset after its first part, or -1. The cursor stands in memory: in registers the verifier would follow
 * every combination of what it can be. */
__noinline int hash_name(__u32 offset)
{
	struct work *w = get_work();
	int end = 0;

	if (!w)
		return -1;
	if (offset + 2 <= w->dns.length && word_at(w, offset) == (0xc000 | DNS_HEADER)) {
		w->dns.hash = w->dns.question; /* nearly all owners are a pointer to the question */
		return offset + 2;
	}
	w->dns.hash = w->secret;
	w->dns.left = 0;
	w->dns.octets = 0;
	w->dns.ended = 0;
	w->dns.after = 0;
	w->dns.at = offset;
	w->dns.lowest = offset;
	w->dns.end = w->dns.length;
	for (__u32 i = 0; i < MAX_NAME + MAX_JUMPS; i++) {
		end = step_name();
		if (end)
			break;
	}
	if (end != 1 || w->dns.octets > MAX_NAME)
		return -1;
	return w->dns.after ? w->dns.after : w->dns.at;
}

/* The header and the one question into `w->dns`. A question met before is known by its hash, so that its name
 * need not be read: `show_name` does it where someone wants to see it. */
__noinline int read_question(void)
{
	struct work *w = get_work();
	int offset;

	if (!w || word_at(w, 4) != 1)
		return -1;
	w->dns.id = word_at(w, 0);
	w->dns.flags = word_at(w, 2);
	w->dns.answers = word_at(w, 6);
	w->dns.additional = word_at(w, 10);
	if (w->dns.flags & DNS_OPCODE)
		return -1;
	offset = skip_name(DNS_HEADER);
	if (offset < 0 || offset + 4 > w->dns.length || word_at(w, offset + 2) != CLASS_IN)
		return -1;
	w->dns.query_type = word_at(w, offset);
	w->dns.after_question = offset + 4;
	if (hash_question(DNS_HEADER, offset))
		return -1;
	if (!recall(w) && read_name(DNS_HEADER) != offset)
		return -1;
	w->dns.question = w->dns.hash;
	return 0;
}

/* The question's name in `w->name`, whether it was met before or not. */
static __always_inline void show_name(struct work *w)
{
	if (w->dns.recalled)
		read_name(DNS_HEADER);
	w->dns.recalled = 0;
}

/* The class of the question's name. */
static __always_inline __u32 class_of_question(struct work *w)
{
	return w->dns.recalled ? w->dns.name_class : name_class();
}

/* A message that asks: no records but one in the additional section, which is EDNS or none we know. */
static __always_inline int read_asking(struct work *w)
{
	__u32 end;

	if (read_question() || w->dns.flags & DNS_QR || w->dns.answers || word_at(w, 8) ||
	    w->dns.additional > 1)
		return -1;
	end = w->dns.after_question;
	w->dns.has_edns = 0;
	if (!w->dns.additional)
		return end == w->dns.length ? 0 : -1;
	if (end + 11 > w->dns.length || byte_at(w, end) || word_at(w, end + 1) != TYPE_OPT)
		return -1;
	w->dns.has_edns = 1;
	return end + 11 + word_at(w, end + 9) == w->dns.length ? 0 : -1;
}

static __always_inline void put_word(__u8 *to, __u16 value)
{
	to[0] = value >> 8;
	to[1] = value;
}

/* Which bit of a mask of question types this one has; policy/dns_types.py has the same list. */
static __always_inline __u32 type_bit(__u32 type)
{
	switch (type) {
	case 1: /* A */
		return 0;
	case 28: /* AAAA */
		return 1;
	case 5: /* CNAME */
		return 2;
	case 65: /* HTTPS */
		return 3;
	case 64: /* SVCB */
		return 4;
	case 33: /* SRV */
		return 5;
	case 12: /* PTR */
		return 6;
	case 15: /* MX */
		return 7;
	case 16: /* TXT */
		return 8;
	case 2: /* NS */
		return 9;
	case 6: /* SOA */
		return 10;
	case 35: /* NAPTR */
		return 11;
	case 257: /* CAA */
		return 12;
	case 43: /* DS */
		return 13;
	case 48: /* DNSKEY */
		return 14;
	case 52: /* TLSA */
		return 15;
	case 255: /* ANY */
		return 16;
	}
	return TYPE_OTHER;
}

/* Offers that answers be no larger than EDNS_SIZE: larger ones come in fragments, which are not read. */
__noinline int clamp_edns(struct __sk_buff *skb)
{
	struct work *w = get_work();
	__u32 at, udp;
	__u16 size, was, is;
	__be16 clamped = bpf_htons(EDNS_SIZE);

	if (!w || !w->dns.has_edns)
		return 0;
	at = w->dns.after_question + 3; /* past the root's name and the type */
	size = word_at(w, at);
	if (size <= EDNS_SIZE)
		return 0;
	udp = w->packet.l4_offset;
	/* At an odd place the sum has the octets the other way round. */
	was = at & 1 ? size : bpf_htons(size);
	is = at & 1 ? EDNS_SIZE : clamped;
	bpf_l4_csum_replace(skb, udp + offsetof(struct udphdr, check), was, is, BPF_F_MARK_MANGLED_0 | 2);
	return bpf_skb_store_bytes(skb, udp + sizeof(struct udphdr) + at, &clamped, 2, 0);
}

/* The question in `w->message` becomes its own answer: `code`, with "Blocked" (RFC 8914, 4.16) where the
 * question has EDNS; sides swapped, checksums set. The caller sends it back. */
__noinline int write_refusal(struct __sk_buff *skb, __u32 code)
{
	struct work *w = get_work();
	__u32 question, length, old_length, old_words, new_words, offset, udp, i;
	__u8 macs[12], swapped[12];
	__be16 ports[2], old_total, new_total;
	__be32 ends[8];
	__s64 difference;
	__u16 value;

	if (!w)
		return -1;
	question = w->dns.after_question;
	old_length = w->dns.length;
	HIDE(question);
	HIDE(old_length);
	if (question < DNS_HEADER + 5 || question > 280 || old_length < DNS_HEADER + 5 || old_length > MAX_QUESTION)
		return -1;
	udp = w->packet.l4_offset;
	offset = udp + sizeof(struct udphdr);
	if (bpf_skb_load_bytes(skb, offset, w->reply, question))
		return -1;
	put_word(w->reply + 2, DNS_QR | DNS_RA | (code & DNS_RCODE) | (w->dns.flags & DNS_RD));
	put_word(w->reply + 6, 0);
	put_word(w->reply + 8, 0);
	put_word(w->reply + 10, w->dns.has_edns ? 1 : 0);
	length = question;
	if (w->dns.has_edns) {
		/* root, OPT, size 1232, version 0, one option of six octets */
		const __u8 edns[17] = {0, 0, TYPE_OPT, 0x04, 0xd0, 0, 0, 0, 0, 0, 6, 0, EDE, 0, 2, 0, EDE_BLOCKED};

		__builtin_memcpy(w->reply + question, edns, sizeof(edns));
		length += sizeof(edns);
	}
	/* Both padded to whole words with zeros; they begin at the same, even place, so sums may be compared. */
	*(__u32 *)(w->reply + 316) = 0;
	HIDE(length);
	if (length < DNS_HEADER + 5 || length > 300)
		return -1;
	w->reply[length] = 0;
	w->reply[length + 1] = 0;
	w->reply[length + 2] = 0;
	w->message[old_length] = 0;
	w->message[old_length + 1] = 0;
	w->message[old_length + 2] = 0;
	old_words = (old_length + 3) & ~3u;
	new_words = (length + 3) & ~3u;
	HIDE(old_words);
	HIDE(new_words);
	if (old_words > MAX_QUESTION || new_words > 304)
		return -1;
	difference = bpf_csum_diff((__be32 *)w->message, old_words, NULL, 0, 0);
	if (difference < 0)
		return -1;
	difference = bpf_csum_diff(NULL, 0, (__be32 *)w->reply, new_words, difference);
	if (difference < 0)
		return -1;

	if (bpf_skb_change_tail(skb, offset + length, 0) || bpf_skb_store_bytes(skb, offset, w->reply, length, 0))
		return -1;
	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return -1;
	__builtin_memcpy(swapped, macs + 6, 6);
	__builtin_memcpy(swapped + 6, macs, 6);
	bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0);

	if (w->packet.flags & PACKET_IPV6) {
		i = ETH_HLEN + offsetof(struct ipv6hdr, saddr);
		if (bpf_skb_load_bytes(skb, i, ends, 32))
			return -1;
		bpf_skb_store_bytes(skb, i, ends + 4, 16, 0);
		bpf_skb_store_bytes(skb, i + 16, ends, 16, 0);
		new_total = bpf_htons(offset + length - ETH_HLEN - sizeof(struct ipv6hdr));
		bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, payload_len), &new_total, 2, 0);
	} else {
		i = ETH_HLEN + offsetof(struct iphdr, saddr);
		if (bpf_skb_load_bytes(skb, i, ends, 8))
			return -1;
		bpf_skb_store_bytes(skb, i, ends + 1, 4, 0);
		bpf_skb_store_bytes(skb, i + 4, ends, 4, 0);
		i = ETH_HLEN + offsetof(struct iphdr, tot_len);
		if (bpf_skb_load_bytes(skb, i, &old_total, 2))
			return -1;
		new_total = bpf_htons(offset + length - ETH_HLEN);
		bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), old_total, new_total, 2);
		bpf_skb_store_bytes(skb, i, &new_total, 2, 0);
	}

	if (bpf_skb_load_bytes(skb, udp, ports, 4))
		return -1;
	value = ports[0];
	ports[0] = ports[1];
	ports[1] = value;
	bpf_skb_store_bytes(skb, udp, ports, 4, 0);
	old_total = bpf_htons(old_length + sizeof(struct udphdr));
	new_total = bpf_htons(length + sizeof(struct udphdr));
	bpf_skb_store_bytes(skb, udp + offsetof(struct udphdr, len), &new_total, 2, 0);
	/* The length is summed twice: in the header, and in the pseudo-header, which is all a packet whose
	 * checksum is still to be finished (CHECKSUM_PARTIAL) holds. */
	i = udp + offsetof(struct udphdr, check);
	bpf_l4_csum_replace(skb, i, 0, difference, BPF_F_MARK_MANGLED_0);
	bpf_l4_csum_replace(skb, i, old_total, new_total, BPF_F_MARK_MANGLED_0 | 2);
	bpf_l4_csum_replace(skb, i, old_total, new_total, BPF_F_MARK_MANGLED_0 | BPF_F_PSEUDO_HDR | 2);
	return 0;
}

static __always_inline bool add_found(struct work *w, __u64 owner, __u32 ttl, __u32 offset, __u32 bytes)
{
	__u32 at = w->dns.found_count;

	if (offset + bytes > w->dns.length)
		return false;
	HIDE(at);
	if (at >= MAX_LEARNED)
		return true; /* what is beyond is not learned */
	w->dns.found[at].owner = owner;
	w->dns.found[at].ttl = ttl;
	w->dns.found[at].offset = offset;
	w->dns.found[at].bytes = bytes;
	w->dns.found_count = at + 1;
	return true;
}

/* Address hints of an SVCB or HTTPS record (RFC 9460) that stands from `offset` to `end`. Keys out of order and
 * hints that are no whole addresses make it malformed (2.2); in alias mode (priority 0) there are none (2.4.2). */
__noinline int read_hints(__u32 offset, __u32 end, __u64 owner, __u32 ttl)
{
	struct work *w = get_work();
	bool alias;
	int at, last = -1;

	if (!w || offset + 3 > end)
		return -1;
	alias = !word_at(w, offset);
	at = hash_name(offset + 2);
	if (at < 0 || at > end)
		return -1;
	if (alias)
		return 0;
	offset = at;
	for (int i = 0; i < MAX_PARAMS; i++) {
		__u32 key, length, bytes;

		if (offset == end)
			return 0;
		if (offset + 4 > end)
			return -1;
		key = word_at(w, offset);
		length = word_at(w, offset + 2);
		offset += 4;
		if (offset + length > end || (int)key <= last)
			return -1;
		last = key;
		if (key == SVCB_IPV4HINT || key == SVCB_IPV6HINT) {
			bytes = key == SVCB_IPV4HINT ? 4 : 16;
			if (!length || length & (bytes - 1))
				return -1;
			for (__u32 hint = 0; hint < MAX_HINTS; hint++)
				if ((hint + 1) * bytes <= length && !add_found(w, owner, ttl, offset + hint * bytes, bytes))
					return -1;
		}
		offset += length;
	}
	return 0; /* further parameters hold nothing to learn: keys come in order, the hints' are low */
}

/* The record at `offset`: a CNAME into `links`, addresses into `found`; the offset after it, or -1. */
__noinline int read_record(__u32 offset)
{
	struct work *w = get_work();
	__u32 type, class, ttl, length, data, at;
	__u64 owner;
	int after;

	if (!w)
		return -1;
	after = hash_name(offset);
	if (after < 0 || after + 10 > w->dns.length)
		return -1;
	owner = w->dns.hash;
	type = word_at(w, after);
	class = word_at(w, after + 2);
	ttl = long_at(w, after + 4);
	length = word_at(w, after + 8);
	data = after + 10;
	offset = data + length;
	if (offset > w->dns.length)
		return -1;
	if (class != CLASS_IN)
		return offset;
	if (ttl >> 31)
		ttl = 0; /* RFC 2181, 8 */
	if (type == TYPE_A || type == TYPE_AAAA) {
		__u32 bytes = type == TYPE_A ? 4 : 16;

		if (length != bytes || !add_found(w, owner, ttl, data, bytes))
			return -1;
	} else if (type == TYPE_SVCB || type == TYPE_HTTPS) {
		if (read_hints(data, offset, owner, ttl))
			return -1;
	} else if (type == TYPE_CNAME) {
		if (hash_name(data) != offset)
			return -1;
		at = w->dns.link_count;
		HIDE(at);
		if (at >= MAX_CHAIN)
			return -1;
		w->dns.links[at].owner = owner;
		w->dns.links[at].target = w->dns.hash;
		w->dns.links[at].ttl = ttl;
		w->dns.link_count = at + 1;
	}
	return offset;
}

/* All records of the answer section. */
__noinline int read_answers(void)
{
	struct work *w = get_work();
	int offset;

	if (!w)
		return -1;
	offset = w->dns.after_question;
	w->dns.found_count = 0;
	w->dns.link_count = 0;
	for (__u32 i = 0; i < MAX_RECORDS; i++) {
		if (i >= w->dns.answers)
			return 0;
		offset = read_record(offset);
		if (offset < 0)
			return -1;
	}
	return 0;
}

/* Which link leads on from this name: its index and one, 0 for none. */
__noinline int find_link(__u64 name)
{
	struct work *w = get_work();

	if (!w)
		return 0;
	for (__u32 i = 0; i < MAX_CHAIN; i++) {
		if (i >= w->dns.link_count)
			break;
		if (w->dns.links[i].owner == name)
			return i + 1;
	}
	return 0;
}

/* From the question's name along the CNAMEs: `chain` holds the names, `ttl` the least on the way. */
__noinline int follow_chain(void)
{
	struct work *w = get_work();
	__u64 name;

	if (!w)
		return -1;
	name = w->dns.question;
	w->dns.chain[0] = name;
	w->dns.chain_count = 1;
	w->dns.ttl = MAX_TTL;
	for (__u32 step = 0; step < MAX_CHAIN; step++) {
		__u32 at = find_link(name);

		if (!at)
			break;
		at--;
		HIDE(at);
		if (at >= MAX_CHAIN)
			break;
		name = w->dns.links[at].target;
		if (w->dns.links[at].ttl < w->dns.ttl)
			w->dns.ttl = w->dns.links[at].ttl;
		w->dns.chain[step + 1] = name;
		w->dns.chain_count = step + 2;
	}
	return 0;
}

/* Is this name the question's or one its CNAMEs lead to? */
__noinline int on_chain(__u64 name)
{
	struct work *w = get_work();

	if (!w)
		return 0;
	for (__u32 step = 0; step <= MAX_CHAIN; step++) {
		if (step >= w->dns.chain_count)
			break;
		if (w->dns.chain[step] == name)
			return 1;
	}
	return 0;
}

/* Forgets the addresses whose owners are not on the chain; `ttl` becomes the least of what is left. */
__noinline int keep_chain(void)
{
	struct work *w = get_work();

	if (!w)
		return -1;
	for (__u32 i = 0; i < MAX_LEARNED; i++) {
		if (i >= w->dns.found_count)
			break;
		if (!on_chain(w->dns.found[i].owner))
			w->dns.found[i].bytes = 0;
		else if (w->dns.found[i].ttl < w->dns.ttl)
			w->dns.ttl = w->dns.found[i].ttl;
	}
	return 0;
}
