// What the parts of the stub share: settings, connections, and the notes it takes of its use.
#ifndef STUB_H
#define STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
  IN_SIZE = 16 * 1024,           // bytes of the largest request or frame
  OUT_SIZE = IN_SIZE + 4 * 1024, // bytes of the largest answer, with its head
};

struct settings {
  const char *ip;    // IPv4 address it listens on
  int port;          //
  char base[256];    // path it serves below, with both slashes
  const char *token; // what its clients must know; empty: nothing
};

struct usage {
  time_t started;    //
  time_t last_page;  // was asked for; Unix time, like the others
  time_t last_frame; // of any websocket; 0: there was none
  int websockets;    // open now
};

struct connection {
  int fd;
  bool is_websocket; // else it speaks HTTP
  bool is_ending;    // close it once `out` is sent
  size_t in_length;  // bytes received and not used yet
  size_t out_length; // bytes to be sent, `out_sent` of them gone
  size_t out_sent;
  char in[IN_SIZE + 1]; // one more for a NUL
  char out[OUT_SIZE];
};

extern struct settings settings;
extern struct usage usage;

// Append to what the connection sends. What does not fit ends the connection.
void put(struct connection *to, const void *bytes, size_t length);
void print(struct connection *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Each uses one whole request or frame from the front of `in`, and puts its answer.
// Returns the bytes used; 0: more must arrive first.
size_t serve_request(struct connection *client);
size_t serve_frame(struct connection *client);

// Answer a handshake: from now on the connection speaks in frames. `key` is the client's.
void open_websocket(struct connection *client, const char *key);

// SHA-1 of a message of less than 120 bytes.
enum { SHA1_SIZE = 20 };
void sha1(const char *message, size_t length, uint8_t digest[SHA1_SIZE]);

#endif
