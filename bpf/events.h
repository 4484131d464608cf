/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Telling user space. Nothing depends on it: a full ring buffer loses the event, counts it, and no more. */
#pragma once

#include "work.h"

#define TELL_AGAIN_NS 1000000000ULL /* a drop like the last one is told once a second, with a count */
#define WAKE_UP_NS 5000000ULL	    /* at most one wake-up in this time: readers poll slowly besides */

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

__noinline int tell_flow(struct __sk_buff *skb, __u32 direction, __u32 reason)
{
	struct work *w = get_work();
	struct flow_event *event;
	__u64 left_out = 0;

	if (!w)
		return 0;
	if (reason) {
		count(reason & 0xff);
		if (!worth_telling(w, reason, direction, &left_out))
			return 0;
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(0);
		return 0;
	}
	event->time_ns = w->now_ns;
	event->type = reason ? EVENT_DROP : EVENT_FLOW;
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
	event->policy = w->policy;
	event->peer = w->judgement.peer;
	event->name_class = w->judgement.name_class;
	event->l4_bits = w->judgement.bits > 0 ? w->judgement.bits : 0;
	event->decided = w->judgement.bits >= 0;
	event->reason = reason;
	event->left_out = left_out > 0xffffffff ? 0xffffffff : left_out;
	event->length = skb->len;
	event->reserved = 0;
	bpf_ringbuf_submit(event, wake_up(w->now_ns));
	return 0;
}

/* The head of a name event from the question in hand; the name's characters are in `w->name`. */
static __always_inline void begin_name_event(struct work *w, __u32 type)
{
	w->told.time_ns = w->now_ns;
	w->told.type = type;
	w->told.endpoint = w->endpoint;
	w->told.scope = w->scope;
	w->told.name_class = w->judgement.name_class;
	w->told.ttl = 0;
	w->told.flags = 0;
	w->told.server = w->packet.remote;
	w->told.server_port = w->packet.remote_port;
	w->told.query_type = w->dns.query_type;
	w->told.name_length = w->dns.name_length;
	w->told.address_count = 0;
	__builtin_memcpy(w->told.name, w->name, sizeof(w->told.name));
}

static __always_inline void end_name_event(struct work *w)
{
	__u32 size = w->told.address_count;

	HIDE(size);
	if (size > MAX_LEARNED)
		return;
	size = sizeof(struct name_event) + size * sizeof(struct address);
	if (bpf_ringbuf_output(&events, &w->told, size, wake_up(w->now_ns)))
		count(0);
}
