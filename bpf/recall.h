/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Questions judged before, so that the same one costs no walk and no look-up of policy: what the name's hash and
 * class are, and until when the verdict counts without being found again.
 *
 * An entry is found by a SipHash-1-3, keyed with the secret of `config`, of all a verdict depends on: endpoint,
 * policy, generation, server, port, type and the name's octets. Nothing is compared besides, so the hash must hold
 * against whoever chooses the names, which FNV would not. Entries are shared by all CPUs without a lock: `check` is
 * the hash mixed with name and verdict, so that half of one entry and half of another are none, and `answer` does
 * the same for the deadlines. */
#pragma once

#include "work.h"

#define RECALL_SETS 16384
#define RECALL_SECONDS 5 /* a verdict counts for: what it took from grants ends with them, give or take this */

#define VERDICT_BY_NAME 0x80000000u /* a DNS rule lets it pass; else the entry is plain */
#define VERDICT_UNTIL 0x7fffffffu   /* second of the boot clock; 0: no verdict, the name alone is known */

struct recalled {
	__u64 check;
	__u64 name; /* as `w->dns.hash` */
	__u32 name_class;
	__u32 verdict;
	/* The answer last learned from: deadlines of its grants and of what user space was told, and a hash of its
	 * addresses and these two. */
	__u32 granted;
	__u32 told;
	__u64 answer;
	__u64 body; /* of all of that answer's octets, and the second it came in */
	__u64 reserved[2]; /* one line of the cache; see `questions` in maps.h */
};

struct recalled_set {
	struct recalled ways[2]; /* the later one first */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RECALL_SETS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct recalled_set);
} recalled SEC(".maps");

struct sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = s->v1 << 13 | s->v1 >> 51;
	s->v1 ^= s->v0;
	s->v0 = s->v0 << 32 | s->v0 >> 32;
	s->v2 += s->v3;
	s->v3 = s->v3 << 16 | s->v3 >> 48;
	s->v3 ^= s->v2;
	s->v0 += s->v3;
	s->v3 = s->v3 << 21 | s->v3 >> 43;
	s->v3 ^= s->v0;
	s->v2 += s->v1;
	s->v1 = s->v1 << 17 | s->v1 >> 47;
	s->v1 ^= s->v2;
	s->v2 = s->v2 << 32 | s->v2 >> 32;
}

static __always_inline void sip_absorb(struct sip *s, __u64 word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

/* Eight octets at once; the octets of lengths (at most 63) are below 'A' and stay. */
static __always_inline __u64 lower_word(__u64 word)
{
	const __u64 ones = 0x0101010101010101ULL, tops = 0x8080808080808080ULL;
	__u64 low = word & ~tops;
	__u64 upper = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x80 - 'Z' - 1)) & ~word & tops;

	return word | upper >> 2;
}

/* The hash of the question in hand into `w->dns.sip`; its name stands in the message from `from` to `end`. */
__noinline int hash_question(__u32 from, __u32 end)
{
	struct work *w = get_work();
	struct sip s;
	__u64 key;

	if (!w || from >= end || end - from > MAX_NAME)
		return -1;
	key = mix(w->secret, 0x6e616d6577616c6cULL);
	s.v0 = w->secret ^ 0x736f6d6570736575ULL;
	s.v1 = key ^ 0x646f72616e646f6dULL;
	s.v2 = w->secret ^ 0x6c7967656e657261ULL;
	s.v3 = key ^ 0x7465646279746573ULL;
	sip_absorb(&s, w->packet.remote.high);
	sip_absorb(&s, w->packet.remote.low);
	sip_absorb(&s, (__u64)w->scope << 32 | w->generation);
	sip_absorb(&s, (__u64)w->policy << 32 | w->packet.remote_port << 16 | w->dns.query_type);
	for (__u32 i = 0; i < (MAX_NAME + 7) / 8; i++) {
		__u32 at = from + 8 * i, left = end - at;
		__u64 word;

		HIDE(at);
		word = lower_word(*(__u64 *)(w->message + (at & (MAX_ANSWER - 1))));
		if (left <= 8) {
			/* What follows the name is cut off; its length goes where SipHash has it, in a word of its own. */
			sip_absorb(&s, left == 8 ? word : word & ((1ULL << (8 * left)) - 1));
			break;
		}
		sip_absorb(&s, word);
	}
	sip_absorb(&s, (__u64)(end - from) << 56);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	w->dns.sip = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	return 0;
}

static __always_inline __u64 recall_check(__u64 sip, const struct recalled *r)
{
	return sip ^ mix(r->name, (__u64)r->name_class << 32 | r->verdict);
}

static __always_inline struct recalled_set *recalled_set_of(struct work *w)
{
	__u32 index = w->dns.sip & (RECALL_SETS - 1);

	return bpf_map_lookup_elem(&recalled, &index);
}

/* What is known of the question that `w->dns.sip` stands for, into `w->dns`; whether anything is. */
static __always_inline bool recall(struct work *w)
{
	struct recalled_set *set = recalled_set_of(w);

	w->dns.recalled = 0;
	w->dns.verdict = 0;
	if (!set)
		return false;
	for (int i = 0; i < 2; i++) {
		struct recalled *way = &set->ways[i];
		struct recalled found = {.name = way->name, .name_class = way->name_class, .verdict = way->verdict};

		if (way->check != recall_check(w->dns.sip, &found))
			continue;
		w->dns.hash = found.name;
		w->dns.name_class = found.name_class;
		w->dns.verdict = found.verdict;
		w->dns.recalled = 1;
		return true;
	}
	return false;
}

/* Notes the question's name and class, and its verdict where it passes and no grant of the server's own address
 * had a say. */
static __always_inline void remember(struct work *w, bool passes)
{
	struct recalled_set *set = recalled_set_of(w);
	struct recalled fresh = {.name = w->dns.question, .name_class = w->judgement.name_class};

	if (!set)
		return;
	if (passes && (w->judgement.peer & PEER_NAME) != PEER_NAME)
		fresh.verdict = (w->now + RECALL_SECONDS) | (w->judgement.dns ? VERDICT_BY_NAME : 0);
	fresh.check = recall_check(w->dns.sip, &fresh);
	if (set->ways[0].check == recall_check(w->dns.sip, &set->ways[0])) {
		fresh.granted = set->ways[0].granted;
		fresh.told = set->ways[0].told;
		fresh.answer = set->ways[0].answer;
		fresh.body = set->ways[0].body;
	} else {
		set->ways[1] = set->ways[0];
	}
	set->ways[0] = fresh;
}

static __always_inline __u64 answer_check(const struct recalled *r, __u64 addresses)
{
	return mix(addresses, (__u64)r->granted << 32 | r->told);
}

/* The entry of the question in hand, NULL where there is none (any more). */
static __always_inline struct recalled *find_recalled(struct work *w)
{
	struct recalled_set *set = recalled_set_of(w);

	if (!set)
		return NULL;
	if (set->ways[0].check == recall_check(w->dns.sip, &set->ways[0]))
		return &set->ways[0];
	return set->ways[1].check == recall_check(w->dns.sip, &set->ways[1]) ? &set->ways[1] : NULL;
}

static __always_inline bool is_judged(const struct work *w)
{
	return (w->dns.verdict & VERDICT_UNTIL) >= w->now;
}
