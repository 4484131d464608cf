/* The quick ends of the datapath's benches, compiled when one runs: Python would be the slowest part of each path.
 *
 *   load dns ADDRESS PORT              answers every question: A, an address of the name's own, TTL 60
 *   load fresh ADDRESS PORT PREFIX     AAAA: eight addresses never given before below PREFIX/48, TTL 1 to 5
 *   load accept ADDRESS PORT           accepts and lets the other side close
 *   load connect ADDRESS PORT SECONDS  opens and resets one connection after the other; prints how many
 *   load sink ADDRESS PORT             counts datagrams; one of a single byte is answered with the count, from 0 on
 *   load flood ADDRESS PORT SECONDS    sends datagrams of 64 octets; prints how many arrived, and were sent
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 1500, HEADER = 12, FRESH = 8 };

static struct sockaddr_storage peer;
static socklen_t peer_length;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(const char *address, const char *port, int kind)
{
	struct addrinfo hints = {.ai_socktype = kind, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
	int made, one = 1, size = 4 << 20;

	if (getaddrinfo(address, port, &hints, &found))
		fail(address);
	memcpy(&peer, found->ai_addr, found->ai_addrlen);
	peer_length = found->ai_addrlen;
	made = socket(found->ai_family, kind, 0);
	if (made < 0)
		fail("socket");
	setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(made, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return made;
}

static int listen_at(const char *address, const char *port, int kind)
{
	int made = open_socket(address, port, kind);

	if (bind(made, (struct sockaddr *)&peer, peer_length))
		fail("bind");
	if (kind == SOCK_STREAM && listen(made, 4096))
		fail("listen");
	return made;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint8_t *put_record(uint8_t *at, uint16_t type, uint32_t ttl, const void *data, uint16_t length)
{
	const uint8_t head[12] = {0xc0, HEADER, type >> 8, type, 0, 1, ttl >> 24, ttl >> 16, ttl >> 8, ttl,
				  length >> 8, length};

	memcpy(at, head, sizeof(head));
	memcpy(at + sizeof(head), data, length);
	return at + sizeof(head) + length;
}

/* The question in `message` becomes its answer; its new length, 0 for what is no question. */
static int answer(uint8_t *message, int length, const uint8_t *prefix)
{
	static uint64_t given;
	uint8_t ipv4[4] = {198, 18, 0, 1}; /* RFC 2544; nothing is ever sent there */
	uint32_t hash = 2166136261;
	uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	uint8_t *at = message + HEADER, *end = message + length;
	int type, count = 0;

	while (at < end && *at)
		at += 1 + *at;
	if (at + 5 > end || message[2] & 0x80)
		return 0;
	type = at[1] << 8 | at[2];
	for (uint8_t *c = message + HEADER; c < at; c++)
		hash = (hash ^ (*c | 0x20)) * 16777619;
	memcpy(ipv4 + 2, &hash, 2); /* names rarely share an address */
	at += 5;
	if (prefix && type == 28) {
		uint32_t ttl = 1 + given / FRESH % 5;

		memcpy(ipv6, prefix, 16);
		for (; count < FRESH; count++) {
			uint64_t number = htobe64(++given);

			memcpy(ipv6 + 8, &number, 8);
			at = put_record(at, type, ttl, ipv6, 16);
		}
	} else if (type == 1 || type == 28) {
		at = put_record(at, type, 60, type == 1 ? ipv4 : ipv6, type == 1 ? 4 : 16);
		count = 1;
	}
	message[2] = 0x84 | (message[2] & 1);
	message[3] = 0x80;
	memset(message + 6, 0, 6);
	message[7] = count;
	return at - message;
}

/* One datagram a system call, as DNS servers do. */
static void serve_dns(int server, const uint8_t *prefix)
{
	uint8_t data[MESSAGE];

	for (;;) {
		struct sockaddr_storage from;
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(server, data, 512, 0, (struct sockaddr *)&from, &length);
		int size = got > 0 ? answer(data, got, prefix) : 0;

		if (size)
			sendto(server, data, size, 0, (struct sockaddr *)&from, length);
	}
}

static void serve_accept(int server)
{
	for (;;) {
		int client = accept(server, NULL, NULL);

		if (client >= 0)
			close(client);
	}
}

static void connect_for(const char *address, const char *port, double seconds)
{
	struct linger reset = {1, 0};
	double begun = now();
	long made = 0;

	while (now() - begun < seconds) {
		int client = open_socket(address, port, SOCK_STREAM);

		if (connect(client, (struct sockaddr *)&peer, peer_length))
			fail("connect");
		setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(client);
		made++;
	}
	printf("%f\n", made / (now() - begun));
}

static void sink(int server)
{
	uint8_t data[64];
	uint64_t count = 0;

	for (;;) {
		struct sockaddr_storage from;
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&from, &length);

		if (got != 1) {
			count += got > 0;
			continue;
		}
		sendto(server, &count, sizeof(count), 0, (struct sockaddr *)&from, length);
		count = 0;
	}
}

static uint64_t ask_count(int client)
{
	struct timeval patience = {0, 500000};
	uint64_t count;

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (int i = 0; i < 20; i++) {
		send(client, "?", 1, 0);
		if (recv(client, &count, sizeof(count), 0) == sizeof(count))
			return count;
	}
	fprintf(stderr, "the sink does not answer\n");
	exit(1);
}

static void flood_for(const char *address, const char *port, double seconds)
{
	int client = open_socket(address, port, SOCK_DGRAM);
	uint8_t data[64] = {0};
	double begun;
	long sent = 0;

	if (connect(client, (struct sockaddr *)&peer, peer_length))
		fail("connect");
	ask_count(client);
	begun = now();
	do {
		for (int i = 0; i < 64; i++)
			sent += send(client, data, sizeof(data), 0) > 0;
	} while (now() - begun < seconds);
	seconds = now() - begun;
	printf("%f %f\n", ask_count(client) / seconds, sent / seconds);
}

int main(int count, char **words)
{
	uint8_t prefix[16];

	if (count < 4)
		return 2;
	if (!strcmp(words[1], "dns"))
		serve_dns(listen_at(words[2], words[3], SOCK_DGRAM), NULL);
	if (!strcmp(words[1], "fresh") && count > 4 && inet_pton(AF_INET6, words[4], prefix))
		serve_dns(listen_at(words[2], words[3], SOCK_DGRAM), prefix);
	if (!strcmp(words[1], "accept"))
		serve_accept(listen_at(words[2], words[3], SOCK_STREAM));
	if (!strcmp(words[1], "sink"))
		sink(listen_at(words[2], words[3], SOCK_DGRAM));
	if (!strcmp(words[1], "connect") && count > 4)
		connect_for(words[2], words[3], atof(words[4]));
	else if (!strcmp(words[1], "flood") && count > 4)
		flood_for(words[2], words[3], atof(words[4]));
	else
		return 2;
	return 0;
}
