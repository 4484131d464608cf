/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is known about the packet in hand, in a per-CPU place of its own.
 *
 * The big steps are global functions: the verifier reads each once instead of once per caller and state, and
 * they may take scalars only, so what they share stands here. Programs of tc run to their end on their CPU;
 * nothing in it is kept from one packet to the next. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>

#include "maps.h"

#define PASS TC_ACT_UNSPEC /* the next program decides: = TCX_NEXT */

/* Hides where a value comes from, so that clang cannot drop the bound that the verifier needs to see. */
#define HIDE(x) asm volatile("" : "+r"(x))

enum packet_flags {
	PACKET_IPV6 = 1,
	PACKET_FRAGMENT = 2,	  /* of any kind */
	PACKET_LATER_FRAGMENT = 4, /* has no ports */
	PACKET_OPTIONS = 8,
	PACKET_SHORT = 16, /* too short for its own headers */
	PACKET_UDP_WHOLE = 32, /* the UDP length is what is left of the packet */
	PACKET_LOCAL_ORIGIN = 64, /* the host itself sent it */
	PACKET_MAPPED = 128,
};

/* `local` is the endpoint's side. ICMP: the identifier is the local port, the remote port says which type and
 * which side asked (parse.h, set_icmp_ports). */
struct packet {
	struct address local;
	struct address remote;
	__u32 l4_offset;
	__u32 l4_length;
	__u32 fragment_id;
	__u32 flags;
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 hop_limit;
	__u8 reserved[7];
};

struct judgement {
	/* The question. */
	__u32 direction;
	__u32 identity;
	__u32 flags; /* of the ipcache entry */
	__u32 cidr;
	__u32 since;	 /* when the flow began, 0 for a new one: grants that were good then still count */
	__u32 kept;	 /* the class that opened it */
	__u32 name_class; /* what is asked for, in a DNS question */
	__u16 port;
	__u16 type_bit; /* of its type */
	__u32 nameless; /* as if nothing were granted */
	/* The answer. */
	__u32 denied;
	__s32 bits; /* -1: nothing matched */
	__u32 peer;
	__u32 dns;	/* the winner lets through questions only */
	__u32 name_ok;	/* and this one is among them */
	__u32 name_known; /* some rule lets its name pass, for this type or another */
};

struct link {
	__u64 owner;
	__u64 target;
	__u32 ttl;
	__u32 reserved;
};

/* A record with addresses: one for each, hints of SVCB included. */
struct found {
	__u64 owner;
	__u32 ttl;
	__u16 offset; /* of the address in the message */
	__u16 bytes;  /* 4 or 16 */
};

struct dns {
	__u64 hash; /* of the name read last */
	__u64 question;
	__u64 set; /* of all addresses found, in any order */
	__u64 sip; /* of the question with all its verdict depends on: recall.h */
	__u32 recalled; /* the question was met before, so `w->name` was not filled */
	__u32 name_class;
	__u32 verdict;
	__u32 padding;
	__u32 length; /* octets of the message */
	__u32 name_length; /* characters of the question's name with its last dot */
	__u32 after_question;
	__u32 id;
	__u32 flags;
	__u32 query_type;
	__u32 answers;
	__u32 additional;
	__u32 found_count;
	__u32 link_count;
	__u32 chain_count;
	__u32 ttl;
	__u32 has_edns;
	__u32 left;   /* octets of the label being read */
	__u32 octets; /* of the name so far */
	__u32 at;     /* the octet to read next */
	__u32 after;  /* the name's first pointer, 0 before that */
	__u32 lowest; /* pointers must lead below this */
	__u32 end;    /* of the part being read */
	__u32 ended;
	__u32 longest; /* octets of the longest label of the question's name */
	__u64 chain[MAX_CHAIN + 1];
	struct link links[MAX_CHAIN];
	struct found found[MAX_LEARNED];
};

struct work {
	__u32 ifindex;
	__u32 endpoint;
	__u32 scope;
	__u32 slot;
	__u32 policy;
	__u32 flags; /* enum endpoint_flags */
	__u32 identity;
	__u32 now;	/* seconds, as of the last tick of the kernel: milliseconds old at most */
	__u64 now_ns;	/* the same in nanoseconds */
	__u64 ticks;
	__u32 generation;
	__u32 audit_policy;
	__u32 audit_flags;
	__u32 min_ttl;
	__u64 secret;
	struct packet packet;
	struct judgement judgement;
	struct judgement said; /* by the policies enforced, while all together are asked */
	struct dns dns;
	struct name_event told; /* followed by what it tells */
	struct address addresses[MAX_LEARNED];
	__u8 name[256];
	__u8 reply[320];
	__u8 message[MAX_ANSWER + 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} work SEC(".maps");

static __always_inline struct work *get_work(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&work, &zero);
}

static __always_inline __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/* From the packet's head, which nearly always may be read directly; the helper costs ten times as much. */
static __always_inline int load(struct __sk_buff *skb, __u32 offset, void *to, const __u32 size)
{
	if (offset < 256) {
		const void *from = (void *)(long)skb->data + offset;

		if (from + size <= (void *)(long)skb->data_end) {
			__builtin_memcpy(to, from, size);
			return 0;
		}
	}
	return bpf_skb_load_bytes(skb, offset, to, size);
}

static __always_inline bool same(const struct address *a, const struct address *b)
{
	return a->high == b->high && a->low == b->low;
}

static __always_inline void set_ipv4(struct address *address, __be32 ipv4)
{
	__u32 *words = (__u32 *)address;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = ipv4;
}

static __always_inline bool is_ipv4(const struct address *address)
{
	return address->high == 0 && (__u32)address->low == bpf_htonl(0xffff);
}
