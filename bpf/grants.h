/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What was learned: address -> name classes, each until a deadline, for the one endpoint that asked.
 *
 * An address has pages of GRANT_SLOTS slots, numbered from 0 without a gap, as many as it has names. A slot is
 * one 64-bit word that is changed by compare-and-swap, so CPUs need no lock and a reader never sees half. */
#pragma once

#include <linux/errno.h>

#include "work.h"

#define EVICT_TRIES 16 /* places of the ring looked at to make room: some hold what is gone already */

enum grant_result {
	GRANT_KNOWN = 0, /* was there, good for as long or longer */
	GRANT_NEW = 1,
	GRANT_PROLONGED = 2,
	GRANT_FULL = -1,
	GRANT_NEVER = -2,
};

/* design.md section 5: what no answer may open, whatever it says. Literal, so that documentation ranges and
 * private ones are granted. */
static __always_inline bool never_granted(const struct address *address)
{
	const __u8 *octets = (const __u8 *)address;

	if (is_ipv4(address))
		return octets[12] == 0 || octets[12] == 127 || octets[12] >= 224 ||
		       (octets[12] == 169 && octets[13] == 254);
	if (address->high == 0 && (address->low == 0 || address->low == bpf_cpu_to_be64(1)))
		return true; /* ::, ::1 */
	return octets[0] == 0xff || (octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80);
}

static __always_inline bool is_inside(const struct address *address)
{
	struct prefix_key key = {.length = 128};
	struct ipcache_entry *entry;

	__builtin_memcpy(key.address, address, sizeof(key.address));
	entry = bpf_map_lookup_elem(&ipcache, &key);
	return entry && entry->flags & INSIDE;
}

/* Frees all pages of an address; whether there were any. */
static __always_inline bool evict(void *pages, const struct address *address)
{
	struct grant_key key = {.address = *address};

	for (__u32 page = 0; page < GRANT_PAGES; page++) {
		key.page = page;
		if (bpf_map_delete_elem(pages, &key))
			return page;
	}
	return true;
}

/* The first page of an address. A scope whose quota is used up makes room by what it was granted longest ago: it
 * is what it will miss least, and a connection that lives has its own entry. Elsewhere a flood of names would deny
 * the very address that is wanted next. */
__noinline int add_first_page(__u64 high, __u64 low, __u32 slot, __u64 held)
{
	struct grant_key key = {.address = {.high = high, .low = low}};
	struct grant_page fresh = {};
	struct grant_hand *hand = NULL;
	struct address *place = NULL;
	bool free = false; /* the place is ours */
	__u32 zero = 0, index;
	void *order = bpf_map_lookup_elem(&grant_orders, &slot), *pages = bpf_map_lookup_elem(&grants, &slot);

	if (!pages)
		return -E2BIG;
	fresh.slots[0] = held;
	if (order)
		hand = bpf_map_lookup_elem(order, &zero);
	if (!hand || !hand->size)
		return bpf_map_update_elem(pages, &key, &fresh, BPF_NOEXIST);
	for (int i = 0; i < EVICT_TRIES; i++) {
		int result = bpf_map_update_elem(pages, &key, &fresh, BPF_NOEXIST);

		if (result && result != -E2BIG)
			return result;
		if (!free) {
			index = 1 + __sync_fetch_and_add(&hand->turns, 1) % hand->size;
			place = bpf_map_lookup_elem(order, &index);
		}
		if (!place)
			return result;
		if (!result) {
			*place = key.address;
			return 0;
		}
		free = evict(pages, place);
		if (free)
			__sync_fetch_and_add(&hand->evicted, 1);
	}
	return -E2BIG;
}

/* An enum grant_result. Uses no `struct work`: `maintain` may be interrupted by a packet on its CPU. */
__noinline int add_grant(__u64 high, __u64 low, __u32 slot, __u32 name_class, __u32 deadline)
{
	struct grant_key key = {.address = {.high = high, .low = low}};
	__u64 wanted = (__u64)name_class << 32 | deadline;
	__u32 now = bpf_ktime_get_boot_ns() / 1000000000ULL;
	void *pages;

	if (never_granted(&key.address) || is_inside(&key.address))
		return GRANT_NEVER;
	pages = bpf_map_lookup_elem(&grants, &slot);
	if (!pages)
		return GRANT_FULL;
	/* The class may stand on any page, so look through all before taking a free slot. */
	for (__u32 page = 0; page < GRANT_PAGES; page++) {
		struct grant_page *found;

		key.page = page;
		found = bpf_map_lookup_elem(pages, &key);
		if (!found)
			break;
		for (int i = 0; i < GRANT_SLOTS; i++) {
			__u64 old = found->slots[i];

			if (old >> 32 != name_class)
				continue;
			if ((__u32)old >= deadline)
				return GRANT_KNOWN;
			if (__sync_val_compare_and_swap(&found->slots[i], old, wanted) == old)
				return (__u32)old < now ? GRANT_NEW : GRANT_PROLONGED;
		}
	}
	for (__u32 page = 0; page < GRANT_PAGES; page++) {
		struct grant_page *found;

		key.page = page;
		found = bpf_map_lookup_elem(pages, &key);
		if (!found) {
			struct grant_page fresh = {};
			int result;

			fresh.slots[0] = wanted;
			result = page ? bpf_map_update_elem(pages, &key, &fresh, BPF_NOEXIST) :
					add_first_page(high, low, slot, wanted);
			if (!result)
				return GRANT_NEW;
			found = bpf_map_lookup_elem(pages, &key);
			if (!found)
				return GRANT_FULL;
		}
		for (int i = 0; i < GRANT_SLOTS; i++) {
			__u64 old = found->slots[i];

			if ((__u32)old < now && __sync_val_compare_and_swap(&found->slots[i], old, wanted) == old)
				return GRANT_NEW;
		}
	}
	return GRANT_FULL;
}

/* Frees what ended before `deadline`; removes the page when it is the last of its address and empty. */
static __always_inline int expire_page(__u32 slot, const struct address *address, __u32 page, __u32 deadline)
{
	struct grant_key key = {.address = *address, .page = page};
	struct grant_page *found;
	void *pages = bpf_map_lookup_elem(&grants, &slot);
	int freed = 0, used = 0;

	if (!pages)
		return 0;
	found = bpf_map_lookup_elem(pages, &key);
	if (!found)
		return 0;
	for (int i = 0; i < GRANT_SLOTS; i++) {
		__u64 old = found->slots[i];

		if (!old)
			continue;
		if ((__u32)old < deadline && __sync_val_compare_and_swap(&found->slots[i], old, 0) == old)
			freed++;
		else
			used++;
	}
	if (used)
		return freed;
	key.page = page + 1;
	if (!bpf_map_lookup_elem(pages, &key)) {
		key.page = page;
		bpf_map_delete_elem(pages, &key);
	}
	return freed;
}
