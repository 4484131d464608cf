/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The name a TLS connection asks for (`namewall.io/verify-name: sni`): on a flow to port 443 that a granted name
 * opened, each packet with data must be a ClientHello for a name that is granted on this very address, until the
 * server has answered one: a hello that the server never gets (a wrong checksum, a small TTL) opens nothing.
 *
 * What is not read for sure is no name, and drops: a hello in several packets, none, two, one with Encrypted
 * ClientHello, whose true name cannot be seen. */
#pragma once

#include "dns.h"
#include "policy.h"

#define TLS_PORT 443
#define TLS_HANDSHAKE 22
#define TLS_CLIENT_HELLO 1
#define TLS_SERVER_NAME 0
#define TLS_ECH 0xfe0d
#define TLS_EXTENSIONS 64 /* looked at in one hello */
#define TLS_FIXED 43	  /* octets before the session id: record, handshake, version, random */

/* How many octets of data a TCP segment has, and where. */
static __always_inline __u32 tcp_data(struct __sk_buff *skb, struct work *w, __u32 *offset)
{
	__u8 words;
	__u32 header;

	if (bpf_skb_load_bytes(skb, w->packet.l4_offset + 12, &words, 1))
		return 0;
	header = (words >> 4) * 4;
	*offset = w->packet.l4_offset + header;
	return w->packet.l4_length > header ? w->packet.l4_length - header : 0;
}

/* The name at `at` in the message into `w->name`, as questions have it. */
static __always_inline int take_name(struct work *w, __u32 at, __u32 length)
{
	if (!length || length > MAX_NAME - 2)
		return -1;
	for (__u32 i = 0; i < MAX_NAME - 2; i++) {
		__u8 c;

		if (i >= length)
			break;
		c = byte_at(w, at + i);
		if (!c)
			return -1;
		w->name[i & 0xff] = lower(c);
	}
	w->name[length & 0xff] = '.';
	w->dns.name_length = length + 1;
	return 0;
}

/* One extension of the hello at `w->dns.at`, which ends at or before `end`; 0: go on. */
__noinline int read_extension(__u32 end)
{
	struct work *w = get_work();
	__u32 at, type, length;

	if (!w)
		return -1;
	at = w->dns.at;
	if (at + 4 > end)
		return -1;
	type = word_at(w, at);
	length = word_at(w, at + 2);
	at += 4;
	if (at + length > end || type == TLS_ECH)
		return -1;
	w->dns.at = at + length;
	if (type != TLS_SERVER_NAME)
		return 0;
	/* A list of one: its length, type 0, the name's length, the name. */
	if (w->dns.name_length || length < 5 || word_at(w, at) + 2u != length || byte_at(w, at + 2) ||
	    word_at(w, at + 3) + 5u != length)
		return -1;
	return take_name(w, at + 5, length - 5);
}

/* 0 where the data is one whole ClientHello: its name is in `w->name` then. */
__noinline int read_hello(struct __sk_buff *skb)
{
	struct work *w = get_work();
	__u32 offset = 0, data, length, at, end;

	if (!w)
		return -1;
	data = tcp_data(skb, w, &offset);
	length = data > MAX_ANSWER ? MAX_ANSWER : data;
	HIDE(length);
	if (length < TLS_FIXED + 10 || length > MAX_ANSWER || bpf_skb_load_bytes(skb, offset, w->message, length))
		return -1;
	if (byte_at(w, 0) != TLS_HANDSHAKE || byte_at(w, 1) != 3 || word_at(w, 3) + 5u != data ||
	    byte_at(w, 5) != TLS_CLIENT_HELLO)
		return -1;
	at = TLS_FIXED;
	at += 1 + byte_at(w, at);
	if (at + 2 > length)
		return -1;
	at += 2 + word_at(w, at);
	if (at + 1 > length)
		return -1;
	at += 1 + byte_at(w, at);
	if (at + 2 > length)
		return -1;
	end = at + 2 + word_at(w, at);
	if (end > length)
		return -1;
	w->dns.at = at + 2;
	w->dns.name_length = 0;
	for (__u32 i = 0; i < TLS_EXTENSIONS; i++) {
		if (w->dns.at == end)
			return w->dns.name_length ? 0 : -1;
		if (read_extension(end))
			return -1;
	}
	return -1;
}

/* Is this class granted to the endpoint at the packet's far end? */
__noinline int is_granted(__u32 class, __u32 since)
{
	struct work *w = get_work();
	struct grant_key key = {};
	__u32 slot;
	void *pages;

	if (!w)
		return 0;
	slot = w->slot;
	pages = bpf_map_lookup_elem(&grants, &slot);
	if (!pages)
		return 0;
	key.address = w->packet.remote;
	for (__u32 page = 0; page < GRANT_PAGES; page++) {
		struct grant_page *found;

		key.page = page;
		found = bpf_map_lookup_elem(pages, &key);
		if (!found)
			break;
		for (int i = 0; i < GRANT_SLOTS; i++) {
			__u64 held = found->slots[i];
			__u32 deadline = held;

			if (held >> 32 == class && (deadline >= w->now || deadline >= since))
				return 1;
		}
	}
	return 0;
}

/* Data of the endpoint's on a connection that began at `since`: 0, or why it drops. */
__noinline int verify_hello(struct __sk_buff *skb, __u32 since)
{
	struct work *w = get_work();
	__u32 class;

	if (!w || read_hello(skb))
		return DROP_TLS_NAME_UNREADABLE;
	class = name_class();
	w->judgement.name_class = class;
	if (!(class & CLASS_GRANTS) || !is_granted(class & CLASS_NUMBER, since))
		return DROP_TLS_NAME_NOT_GRANTED;
	w->judgement.direction = EGRESS;
	w->judgement.port = w->packet.remote_port;
	w->judgement.denied = 0;
	w->judgement.bits = -1;
	w->judgement.peer = 0;
	consider(PEER_NAME | (class & PEER_NUMBER));
	return w->judgement.bits < 0 || w->judgement.denied ? DROP_TLS_NAME_NOT_GRANTED : 0;
}

/* Data ahead of the server's answer: 0, or why it drops. */
static __always_inline int look_at_hello(struct __sk_buff *skb, struct work *w, __u32 since)
{
	int reason = verify_hello(skb, since);

	if (reason && !(w->flags & VERIFY_NAMES)) {
		tell_audited(skb, EGRESS, reason, 0);
		return 0;
	}
	return reason;
}

/* Was it a name, and nothing else, that opened the flow just judged? */
static __always_inline bool only_named(struct work *w)
{
	bool allowed;

	if (!(w->flags & (VERIFY_NAMES | VERIFY_IN_AUDIT)) || w->packet.protocol != IPPROTO_TCP ||
	    w->packet.remote_port != TLS_PORT)
		return false;
	w->judgement.nameless = 1;
	allowed = !judge_flow(EGRESS);
	w->judgement.nameless = 0;
	return !allowed;
}
