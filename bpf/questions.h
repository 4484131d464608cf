/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Questions on their way: an answer passes and teaches only if its question went out through here.
 *
 * Each endpoint has PENDING_SETS sets of PENDING_WAYS places. The hash of a question covers the two ends, the
 * id, the name and the type, keyed with a secret, so nothing else is compared. Writers do not lock: hash and
 * flag are one word, and the class is found again from the answer's name, so a lost race loses a question and
 * never mixes two. */
#pragma once

#include "dns.h"

#define PENDING_LIFE 15 /* seconds; resolvers give up earlier */

/* The lowest bit is left free. */
static __always_inline __u64 question_hash(struct work *w)
{
	__u64 hash = mix(w->dns.question, w->secret);

	hash = mix(hash, w->packet.local.high);
	hash = mix(hash, w->packet.local.low);
	hash = mix(hash, w->packet.remote.high);
	hash = mix(hash, w->packet.remote.low);
	hash = mix(hash, (__u64)w->packet.local_port << 48 | (__u64)w->packet.remote_port << 32 |
				 w->dns.id << 16 | w->dns.query_type);
	return hash & ~1ULL;
}

static __always_inline struct pending_set *pending_set_of(struct work *w, __u64 hash)
{
	__u32 slot = w->slot, index = hash >> 32 & (PENDING_SETS - 1);
	void *sets = bpf_map_lookup_elem(&questions, &slot);

	return sets ? bpf_map_lookup_elem(sets, &index) : NULL;
}

/* Notes the question; where its set is full the one asked longest ago is forgotten. */
__noinline int note_question(__u32 teaches)
{
	struct work *w = get_work();
	struct pending_set *set;
	struct pending *place;
	__u32 oldest = 0, oldest_age = 0;
	__u64 hash;

	if (!w)
		return 0;
	hash = question_hash(w);
	set = pending_set_of(w, hash);
	if (!set)
		return 0;
	for (__u32 i = 0; i < PENDING_WAYS; i++) {
		__u32 age = w->now - set->ways[i].asked;

		if ((set->ways[i].hash & ~1ULL) == hash && set->ways[i].count && age <= PENDING_LIFE) {
			set->ways[i].hash = hash | (teaches & 1);
			set->ways[i].asked = w->now;
			set->ways[i].count += 1;
			return 0;
		}
		if (!set->ways[i].count)
			age = 0x7fffffff;
		if (age > oldest_age) {
			oldest_age = age;
			oldest = i;
		}
	}
	place = &set->ways[oldest & (PENDING_WAYS - 1)];
	place->count = 0;
	place->hash = hash | (teaches & 1);
	place->asked = w->now;
	place->count = 1;
	return 0;
}

/* Is the question of this hash on its way? */
static __always_inline bool is_pending(struct work *w, __u64 hash)
{
	struct pending_set *set = pending_set_of(w, hash);

	if (!set)
		return false;
	for (__u32 i = 0; i < PENDING_WAYS; i++) {
		struct pending *place = &set->ways[i];

		if ((place->hash & ~1ULL) == hash && place->count && w->now - place->asked <= PENDING_LIFE)
			return true;
	}
	return false;
}

/* Takes the question this answer is due to: 0 not asked, 1 asked, 3 asked and it teaches. */
__noinline int take_question(void)
{
	struct work *w = get_work();
	struct pending_set *set;
	__u64 hash;

	if (!w)
		return 0;
	hash = question_hash(w);
	set = pending_set_of(w, hash);
	if (!set)
		return 0;
	for (__u32 i = 0; i < PENDING_WAYS; i++) {
		struct pending *place = &set->ways[i];
		__u64 held = place->hash;

		if ((held & ~1ULL) != hash || !place->count || w->now - place->asked > PENDING_LIFE)
			continue;
		place->count -= 1;
		return 1 | (held & 1) << 1;
	}
	return 0;
}
