/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Learning from an answer, before the packet goes on: the addresses of the question's name and its CNAME
 * chain are granted to the endpoint that asked. */
#pragma once

#include "questions.h"

/* With `namewall.io/rebinding-guard: strict` no name opens these: RFC 1918, RFC 6598 and RFC 4193. */
static __always_inline bool is_private(const struct address *address)
{
	const __u8 *octets = (const __u8 *)address;

	if (is_ipv4(address))
		return octets[12] == 10 || (octets[12] == 172 && (octets[13] & 0xf0) == 16) ||
		       (octets[12] == 192 && octets[13] == 168) || (octets[12] == 100 && (octets[13] & 0xc0) == 64);
	return (octets[0] & 0xfe) == 0xfc;
}

__noinline int read_found(__u32 index)
{
	struct work *w = get_work();
	__u32 offset, bytes;

	HIDE(index);
	if (!w || index >= MAX_LEARNED)
		return 0;
	offset = w->dns.found[index].offset;
	bytes = w->dns.found[index].bytes;
	if (bytes == 4) {
		__be32 ipv4;
		__u8 *octets = (__u8 *)&ipv4;

		for (int i = 0; i < 4; i++)
			octets[i] = byte_at(w, offset + i);
		set_ipv4(&w->addresses[index], ipv4);
		return 1;
	}
	if (bytes == 16) {
		__u8 *octets = (__u8 *)&w->addresses[index];

		for (int i = 0; i < 16; i++)
			octets[i] = byte_at(w, offset + i);
		return !is_ipv4(&w->addresses[index]); /* a v4-mapped AAAA opens nothing */
	}
	return 0;
}

/* The address found at `index` is granted, and told of: the list to tell grows in place of the found one. */
__noinline int learn_one(__u32 index, __u32 class, __u32 deadline)
{
	struct work *w = get_work();
	struct address address;
	__u32 at;

	HIDE(index);
	if (!w || index >= MAX_LEARNED || !w->dns.found[index].bytes)
		return 0;
	address = w->addresses[index];
	if (class & CLASS_GRANTS) {
		int result = add_grant(address.high, address.low, w->slot, class & CLASS_NUMBER, deadline);

		if (result == GRANT_NEVER)
			return 0;
		if (result == GRANT_FULL)
			w->told.flags |= LEARNED_FULL;
	} else if (never_granted(&address)) {
		return 0;
	}
	at = w->told.address_count;
	HIDE(at);
	if (at >= MAX_LEARNED)
		return 0;
	w->addresses[at] = address;
	w->told.address_count = at + 1;
	return 0;
}

/* Reads the addresses found; `w->dns.set` becomes a hash of them all. */
__noinline int gather_found(void)
{
	struct work *w = get_work();
	__u64 set = 0;

	if (!w)
		return 0;
	for (__u32 i = 0; i < MAX_LEARNED; i++) {
		if (i >= w->dns.found_count)
			break;
		if (read_found(i) && !(w->flags & REBINDING_STRICT && is_private(&w->addresses[i])))
			set += mix(w->addresses[i].high, w->addresses[i].low);
		else
			w->dns.found[i].bytes = 0;
	}
	w->dns.set = set;
	return 0;
}

/* Grants what was gathered, and tells of it where that is due; whether it did. */
__noinline int teach(__u32 class, __u32 ttl, __u32 deadline, __u32 tell)
{
	struct work *w = get_work();

	if (!w)
		return 0;
	w->told.flags = 0;
	w->told.address_count = 0;
	for (__u32 i = 0; i < MAX_LEARNED; i++) {
		if (i >= w->dns.found_count)
			break;
		learn_one(i, class, deadline);
	}
	if (!tell || !w->told.address_count || !within_ration(w, RATION_NAME))
		return 0;
	show_name(w);
	begin_name_event(w, EVENT_LEARNED);
	w->told.ttl = ttl;
	return end_name_event(w);
}

#define MAX_BODY 512 /* octets of an answer that are worth comparing: one more step for every eight */

/* A hash of what the answer says, in this second; 0 where it is too long. Whoever makes two that collide keeps his
 * own workload from learning the second one, for a second. */
static __always_inline __u64 body_hash(struct work *w)
{
	__u32 at = w->dns.after_question, end = w->dns.length;
	__u64 hash = mix(w->dns.sip, (__u64)w->now << 32 | end);

	if (at >= end || end - at > MAX_BODY)
		return 0;
	hash = mix(hash, (__u64)long_at(w, 4) << 32 | long_at(w, 8));
	hash = mix(hash, w->dns.flags);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MAX_BODY / 8; i++) {
		__u64 word;

		HIDE(at);
		word = *(__u64 *)(w->message + (at & MESSAGE_MASK));
		if (end - at < 8)
			word &= (1ULL << (8 * (end - at))) - 1;
		hash = mix(hash, word);
		at += 8;
		if (at >= end)
			break;
	}
	return hash;
}

/* 0, or -1 where the answer cannot be read: then it taught nothing. An answer like the last one to this question
 * is learned from once a second, and told of when its deadline has moved far enough. */
__noinline int learn(void)
{
	struct work *w = get_work();
	__u32 class, ttl, deadline, slack, zero = 0, granted = 0, told = 0;
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	struct recalled *known;
	__u64 body;

	if (!w || !c)
		return -1;
	known = find_recalled(w);
	body = body_hash(w);
	if (known && body && known->body == body)
		return 0;
	if (read_answers())
		return -1;
	if (!w->dns.found_count)
		return 0;
	follow_chain();
	keep_chain();
	gather_found();
	ttl = (w->dns.ttl < w->min_ttl ? w->min_ttl : w->dns.ttl) + c->grace;
	deadline = w->now + ttl;
	if (known && known->answer == answer_check(known, w->dns.set)) {
		granted = known->granted;
		told = known->told;
	}
	if (granted >= deadline)
		return 0;
	class = class_of_question(w);
	w->judgement.name_class = class;
	slack = ttl / RETELL_PART < RETELL_AT_MOST ? ttl / RETELL_PART : RETELL_AT_MOST;
	if (teach(class, ttl, deadline, told + slack < deadline))
		told = deadline;
	if (known) {
		known->granted = w->told.flags & LEARNED_FULL ? 0 : deadline;
		known->told = told;
		known->answer = answer_check(known, w->dns.set);
		known->body = known->granted ? body : 0;
	}
	return 0;
}
