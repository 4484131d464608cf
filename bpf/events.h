/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Telling user space. Nothing depends on it: a full ring buffer loses the event, counts it, and no more.
 *
 * Under load an event costs more than the packet it is about, most of it in the reader. So each kind is told as
 * often as it says something new: drops once a second, answers when there is something to know that was not told,
 * first packets up to a ration. What is left out is counted. */
#pragma once

#include "work.h"

#define TELL_AGAIN_NS 1000000000ULL /* a drop like the last one is told once a second, with a count */
#define WAKE_UP_NS 5000000ULL	    /* at most one wake-up in this time: readers poll slowly besides */
#define RATION 1000		    /* events of one kind of one endpoint on one CPU in a second */
/* An answer like one told of is told again when its deadline has moved by this part of its TTL, at most so many
 * seconds. User space adds as much to what it hears (agent/learned.py), so that it never knows too little. */
#define RETELL_PART 4
#define RETELL_AT_MOST 300

#define RATIONED_ENDPOINTS 256
enum ration_kind {
	RATION_FLOW,
	RATION_NAME,
	RATION_KINDS,
};

struct ration {
	__u64 since_ns;
	__u64 told;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RATIONED_ENDPOINTS * RATION_KINDS);
	__type(key, __u32);
	__type(value, struct ration);
} rations SEC(".maps");

/* Of `counters`, where it is no drop reason. */
#define COUNT_LOST 0	 /* the ring buffer was full */
#define COUNT_LEFT_OUT 1 /* no ration was left */
#define COUNT_AUDITED 2	 /* verdicts that policies in audit would change, told of */
#define AUDITED 0x8000 /* of a reason: they would drop for it */

static __u64 last_wake_up;

static __always_inline void count(__u32 index)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &index);

	if (counter)
		*counter += 1;
}

/* Most events wait for the next reading; one in a while wakes the reader up if it sleeps. */
static __always_inline __u64 wake_up(__u64 now_ns)
{
	if (now_ns - last_wake_up < WAKE_UP_NS)
		return BPF_RB_NO_WAKEUP;
	last_wake_up = now_ns;
	return 0;
}

/* Is it time to tell of a drop of this kind? Sets how many were not told of since. */
static __always_inline bool worth_telling(struct work *w, __u32 reason, __u32 direction, __u64 *left_out)
{
	struct drop_key key = {
		.remote = w->packet.remote,
		.endpoint = w->endpoint,
		.reason = reason,
		.port = direction == EGRESS ? w->packet.remote_port : w->packet.local_port,
		.protocol = w->packet.protocol,
		.direction = direction,
	};
	struct drop_count *seen = bpf_map_lookup_elem(&drops, &key);

	if (!seen) {
		struct drop_count first = {.told_ns = w->now_ns};

		bpf_map_update_elem(&drops, &key, &first, BPF_ANY);
		*left_out = 0;
		return true;
	}
	if (w->now_ns - seen->told_ns < TELL_AGAIN_NS) {
		__sync_fetch_and_add(&seen->left_out, 1);
		return false;
	}
	*left_out = seen->left_out;
	seen->left_out = 0;
	seen->told_ns = w->now_ns;
	return true;
}

/* May this endpoint tell one more event of this kind now? */
static __always_inline bool within_ration(struct work *w, enum ration_kind kind)
{
	__u32 index = (w->slot & (RATIONED_ENDPOINTS - 1)) * RATION_KINDS + kind;
	struct ration *ration = bpf_map_lookup_elem(&rations, &index);

	if (!ration)
		return true;
	if (w->now_ns - ration->since_ns >= 1000000000ULL) {
		ration->since_ns = w->now_ns;
		ration->told = 0;
	}
	if (ration->told >= RATION) {
		count(COUNT_LEFT_OUT);
		return false;
	}
	ration->told += 1;
	return true;
}

static __always_inline void write_flow(struct __sk_buff *skb, struct work *w, __u32 type, __u32 direction,
				       __u32 reason, __u64 left_out, __u32 dropped)
{
	struct flow_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(COUNT_LOST);
		return;
	}
	event->time_ns = bpf_ktime_get_boot_ns();
	event->type = type;
	event->endpoint = w->endpoint;
	event->local = w->packet.local;
	event->remote = w->packet.remote;
	event->local_port = w->packet.local_port;
	event->remote_port = w->packet.remote_port;
	event->protocol = w->packet.protocol;
	event->direction = direction;
	event->tcp_flags = w->packet.tcp_flags;
	event->icmp_type = w->packet.icmp_type;
	event->identity = w->judgement.identity;
	event->policy = type == EVENT_AUDIT && w->audit_policy ? w->audit_policy : w->policy;
	event->peer = w->judgement.peer;
	event->name_class = w->judgement.name_class;
	event->l4_bits = w->judgement.bits > 0 ? w->judgement.bits : 0;
	event->decided = w->judgement.bits >= 0;
	event->reason = reason;
	event->left_out = left_out > 0xffffffff ? 0xffffffff : left_out;
	event->length = skb->len;
	event->dropped = dropped;
	bpf_ringbuf_submit(event, wake_up(w->now_ns));
}

__noinline int tell_flow(struct __sk_buff *skb, __u32 direction, __u32 reason)
{
	struct work *w = get_work();
	__u64 left_out = 0;

	if (!w)
		return 0;
	if (reason) {
		count(reason & 0xff);
		if (!worth_telling(w, reason, direction, &left_out))
			return 0;
	} else if (!within_ration(w, RATION_FLOW)) {
		return 0;
	}
	write_flow(skb, w, reason ? EVENT_DROP : EVENT_FLOW, direction, reason, left_out, 0);
	return 0;
}

/* What all policies together say, or a check in audit, in `w->judgement`, is not what happens: `dropped` is that,
 * `reason` their word. */
__noinline int tell_audited(struct __sk_buff *skb, __u32 direction, __u32 reason, __u32 dropped)
{
	struct work *w = get_work();
	__u64 left_out;

	if (w && worth_telling(w, AUDITED | reason, direction, &left_out)) {
		count(COUNT_AUDITED);
		write_flow(skb, w, EVENT_AUDIT, direction, reason, left_out, dropped);
	}
	return 0;
}

/* The head of a name event from the question in hand; the name's characters are in `w->name`. What differs from
 * type to type is the caller's: ttl, flags, address_count and the addresses. */
static __always_inline void begin_name_event(struct work *w, __u32 type)
{
	w->told.time_ns = bpf_ktime_get_boot_ns();
	w->told.type = type;
	w->told.endpoint = w->endpoint;
	w->told.scope = w->scope;
	w->told.name_class = w->judgement.name_class;
	w->told.server = w->packet.remote;
	w->told.server_port = w->packet.remote_port;
	w->told.query_type = w->dns.query_type;
	w->told.name_length = w->dns.name_length;
	__builtin_memcpy(w->told.name, w->name, sizeof(w->told.name));
}

/* Whether the ring buffer took it. */
static __always_inline bool end_name_event(struct work *w)
{
	__u32 size = w->told.address_count;

	HIDE(size);
	if (size > MAX_LEARNED)
		return false;
	size = sizeof(struct name_event) + size * sizeof(struct address);
	if (!bpf_ringbuf_output(&events, &w->told, size, wake_up(w->now_ns)))
		return true;
	count(COUNT_LOST);
	return false;
}
