/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which name class a name is in: a walk through the automaton, last character first, one cell a character,
 * whatever the number of patterns. fqdn/automaton.py builds the cells and describes them. */
#pragma once

#include "work.h"

/* 0 is no character of a pattern; cell [base + 0] says what the name so far is accepted as. */
static const __u8 symbols[256] = {
	['a'] = 1,  ['b'] = 2,	['c'] = 3,  ['d'] = 4,	['e'] = 5,  ['f'] = 6,	['g'] = 7,  ['h'] = 8,
	['i'] = 9,  ['j'] = 10, ['k'] = 11, ['l'] = 12, ['m'] = 13, ['n'] = 14, ['o'] = 15, ['p'] = 16,
	['q'] = 17, ['r'] = 18, ['s'] = 19, ['t'] = 20, ['u'] = 21, ['v'] = 22, ['w'] = 23, ['x'] = 24,
	['y'] = 25, ['z'] = 26, ['0'] = 27, ['1'] = 28, ['2'] = 29, ['3'] = 30, ['4'] = 31, ['5'] = 32,
	['6'] = 33, ['7'] = 34, ['8'] = 35, ['9'] = 36, ['-'] = 37, ['_'] = 38, ['.'] = 39,
};

/* The class of `w->name`, `w->dns.name_length` characters, with CLASS_GRANTS; 0 when nothing matches. */
__noinline int name_class(void)
{
	struct work *w = get_work();
	__u32 zero = 0, length, base;
	void *cells;
	__u64 *cell;

	if (!w)
		return 0;
	cells = bpf_map_lookup_elem(&automaton, &zero);
	if (!cells)
		return 0;
	cell = bpf_map_lookup_elem(cells, &zero);
	if (!cell)
		return 0;
	base = *cell;
	length = w->dns.name_length;
	for (__u32 i = 0; i < MAX_NAME; i++) {
		__u32 where, index;
		__u8 symbol;

		if (i >= length)
			break;
		where = length - 1 - i;
		HIDE(where);
		symbol = symbols[w->name[where & 0xff]];
		if (!symbol)
			return 0;
		index = base + symbol;
		cell = bpf_map_lookup_elem(cells, &index);
		if (!cell || *cell >> 32 != base)
			return 0;
		base = *cell;
	}
	cell = bpf_map_lookup_elem(cells, &base);
	if (!cell || *cell >> 32 != base)
		return 0;
	return (__u32)*cell;
}
