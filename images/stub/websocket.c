// Websockets as RFC 6455 has them: every message comes back as it was sent, frame by frame.
#include <stdio.h>
#include <string.h>

#include "stub.h"

enum {
  FINAL = 0x80,  // in a frame's first byte
  MASKED = 0x80, // in its second
  MASK_SIZE = 4,
  LONGEST_KEY = 64, // bytes; real ones have 24
};

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

enum reason { PROTOCOL_ERROR = 1002, TOO_BIG = 1009 };

static void encode_base64(const uint8_t *bytes, size_t length, char *text) {
  static const char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t at = 0; at < length; at += 3) {
    uint32_t three = 0;
    for (size_t i = 0; i < 3; i++) {
      three = three << 8 | (at + i < length ? bytes[at + i] : 0);
    }
    for (size_t i = 0; i < 4; i++) {
      *text++ = at + i <= length ? digits[three >> (18 - 6 * i) & 63] : '=';
    }
  }
  *text = 0;
}

void open_websocket(struct connection *client, const char *key) {
  char proof[LONGEST_KEY + 40], answer[(SHA1_SIZE + 2) / 3 * 4 + 1];
  uint8_t digest[SHA1_SIZE];
  int length = snprintf(proof, sizeof proof, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                        LONGEST_KEY, key);
  sha1(proof, (size_t)length, digest);
  encode_base64(digest, SHA1_SIZE, answer);
  print(client,
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n"
        "\r\n",
        answer);
  client->is_websocket = true;
  usage.websockets++;
  usage.last_frame = time(NULL);
}

static void put_frame(struct connection *client, uint8_t first, const char *payload,
                      size_t length) {
  uint8_t head[4] = {first};
  if (length < 126) {
    head[1] = (uint8_t)length;
    put(client, head, 2);
  } else { // fits in 16 bits, as IN_SIZE does
    head[1] = 126, head[2] = (uint8_t)(length >> 8), head[3] = (uint8_t)length;
    put(client, head, 4);
  }
  put(client, payload, length);
}

static void refuse(struct connection *client, enum reason reason) {
  char code[2] = {(char)(reason >> 8), (char)reason};
  put_frame(client, FINAL | CLOSE, code, sizeof code);
  client->is_ending = true;
}

static void answer(struct connection *client, uint8_t first, const char *payload, size_t length) {
  switch (first & 0x0F) {
  case CONTINUATION:
  case TEXT:
  case BINARY:
    usage.last_frame = time(NULL);
    put_frame(client, first, payload, length);
    break;
  case CLOSE:
    put_frame(client, first, payload, length);
    client->is_ending = true;
    break;
  case PING:
    put_frame(client, FINAL | PONG, payload, length);
    break;
  case PONG:
    break;
  default:
    refuse(client, PROTOCOL_ERROR);
  }
}

// Returns the length of the frame's head, its mask included.
static size_t read_head(const uint8_t *in, size_t received, size_t *length) {
  uint8_t first_length = in[1] & (MASKED - 1);
  size_t wide = first_length < 126 ? 0 : first_length == 126 ? 2 : 8; // bytes of the real length
  *length = wide ? 0 : first_length;
  for (size_t i = 0; i < wide && 2 + i < received; i++) {
    *length = *length << 8 | in[2 + i];
  }
  return 2 + wide + MASK_SIZE;
}

size_t serve_frame(struct connection *client) {
  const uint8_t *in = (const uint8_t *)client->in;
  if (client->in_length < 2) {
    return 0;
  }
  if (!(in[1] & MASKED)) {
    refuse(client, PROTOCOL_ERROR);
    return client->in_length;
  }
  size_t length, head = read_head(in, client->in_length, &length);
  if (client->in_length < head) {
    return 0;
  }
  if (length > IN_SIZE - head) {
    refuse(client, TOO_BIG);
    return client->in_length;
  }
  if (client->in_length < head + length) {
    return 0;
  }
  char *payload = client->in + head;
  for (size_t i = 0; i < length; i++) {
    payload[i] ^= client->in[head - MASK_SIZE + i % MASK_SIZE];
  }
  answer(client, in[0], payload, length);
  return head + length;
}
