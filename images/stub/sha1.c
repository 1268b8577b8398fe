// SHA-1 as RFC 3174 has it, for short messages: the handshake of websockets needs no more.
#include <string.h>

#include "stub.h"

enum { BLOCK = 64 };

static uint32_t rotated(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

static void add_block(const uint8_t block[BLOCK], uint32_t state[5]) {
  uint32_t w[80];
  for (int t = 0; t < 16; t++) {
    const uint8_t *at = block + 4 * t;
    w[t] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
  }
  for (int t = 16; t < 80; t++) {
    w[t] = rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
  for (int t = 0; t < 80; t++) {
    uint32_t mixed;
    if (t < 20) {
      mixed = ((b & c) | (~b & d)) + 0x5A827999;
    } else if (t < 40) {
      mixed = (b ^ c ^ d) + 0x6ED9EBA1;
    } else if (t < 60) {
      mixed = ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC;
    } else {
      mixed = (b ^ c ^ d) + 0xCA62C1D6;
    }
    uint32_t next = rotated(a, 5) + mixed + e + w[t];
    e = d, d = c, c = rotated(b, 30), b = a, a = next;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

void sha1(const char *message, size_t length, uint8_t digest[SHA1_SIZE]) {
  uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  uint8_t padded[2 * BLOCK] = {0};
  // The message, one bit, zeros, and at the very end the message's length in bits.
  size_t end = length + 9 > BLOCK ? 2 * BLOCK : BLOCK;
  memcpy(padded, message, length);
  padded[length] = 0x80;
  padded[end - 2] = (uint8_t)(length * 8 >> 8);
  padded[end - 1] = (uint8_t)(length * 8);
  for (size_t at = 0; at < end; at += BLOCK) {
    add_block(padded + at, state);
  }
  for (int i = 0; i < SHA1_SIZE; i++) {
    digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
  }
}
