// HTTP, and as much of a notebook server's API as tmpnb asks for. Any method is answered like GET.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "stub.h"

enum { STAMP_SIZE = 32 };

struct request {
  bool is_head;
  bool is_last; // the client wants the connection closed
  char *path;
  char *query;         // what follows the question mark; "" without one
  const char *headers; // the lines after the first; the last one is empty
};

static bool starts_with(const char *text, const char *prefix) {
  return !strncmp(text, prefix, strlen(prefix));
}

// Copies the value of a header to `value`; "" if there is none.
static void get_header(const char *headers, const char *name, char *value, size_t size) {
  size_t length = strlen(name);
  *value = 0;
  for (const char *line = headers; !starts_with(line, "\r\n"); line = strstr(line, "\r\n") + 2) {
    if (!strncasecmp(line, name, length) && line[length] == ':') {
      line += length + 1;
      line += strspn(line, " \t");
      snprintf(value, size, "%.*s", (int)strcspn(line, "\r"), line);
      return;
    }
  }
}

static bool has_header(const struct request *request, const char *name, const char *word) {
  char value[256];
  get_header(request->headers, name, value, sizeof value);
  return strcasestr(value, word) != NULL;
}

static bool knows_token(const struct request *request) {
  char value[512];
  get_header(request->headers, "Authorization", value, sizeof value);
  const char *given = strchr(value, ' ');
  if (!*settings.token || (given && !strcmp(given + 1, settings.token))) {
    return true;
  }
  size_t length = strlen(settings.token);
  for (const char *at = request->query; *at; at += strcspn(at, "&"), at += *at == '&') {
    const char *word = at + strlen("token=");
    if (starts_with(at, "token=") && !strncmp(word, settings.token, length) &&
        strchr("&", word[length])) {
      return true;
    }
  }
  return false;
}

static void finish(struct connection *client, const struct request *request, const char *status,
                   const char *type, const char *body) {
  client->is_ending = request->is_last;
  print(client,
        "HTTP/1.1 %s\r\n"
        "Content-Type: %s\r\n"
        "Content-Length: %zu\r\n"
        "Cache-Control: no-store\r\n"
        "%s\r\n",
        status, type, strlen(body), request->is_last ? "Connection: close\r\n" : "");
  if (!request->is_head) {
    put(client, body, strlen(body));
  }
}

static void finish_json(struct connection *client, const struct request *request,
                        const char *status, const char *body) {
  finish(client, request, status, "application/json", body);
}

static void write_stamp(time_t time, char stamp[STAMP_SIZE]) {
  struct tm tm;
  strftime(stamp, STAMP_SIZE, "%Y-%m-%dT%H:%M:%S.000000Z", gmtime_r(&time, &tm));
}

// A websocket is what stands for a kernel here, so its frames are the kernel's messages.
static void write_api(const char *name, char *body, size_t size) {
  char started[STAMP_SIZE], last[STAMP_SIZE], last_frame[STAMP_SIZE];
  time_t last_page = usage.last_page;
  bool has_kernel = usage.last_frame != 0;
  write_stamp(usage.started, started);
  write_stamp(usage.last_frame, last_frame);
  write_stamp(usage.last_frame > last_page ? usage.last_frame : last_page, last);
  *body = 0;
  if (!strcmp(name, "status")) {
    snprintf(body, size,
             "{\"connections\": %d, \"kernels\": %d, \"last_activity\": \"%s\","
             " \"started\": \"%s\"}",
             usage.websockets, has_kernel, last, started);
  } else if (!strcmp(name, "kernels") && has_kernel) {
    snprintf(body, size,
             "[{\"id\": \"stub\", \"name\": \"stub\", \"execution_state\": \"idle\","
             " \"connections\": %d, \"last_activity\": \"%s\"}]",
             usage.websockets, last_frame);
  } else if (!strcmp(name, "kernels") || !strcmp(name, "terminals")) {
    snprintf(body, size, "[]");
  } else if (starts_with(name, "contents")) {
    snprintf(body, size,
             "{\"name\": \"\", \"path\": \"\", \"type\": \"directory\", \"content\": [],"
             " \"last_modified\": \"%s\"}",
             started);
  }
}

static void answer(struct connection *client, const struct request *request) {
  char body[1024], key[64];
  if (!starts_with(request->path, settings.base)) {
    finish_json(client, request, "404 Not Found", "{\"message\": \"not below the base URL\"}");
    return;
  }
  const char *rest = request->path + strlen(settings.base);
  if (!strcmp(rest, "api")) {
    finish_json(client, request, "200 OK", "{\"version\": \"0.0.0-stub\"}");
    return;
  }
  if (!knows_token(request)) {
    finish_json(client, request, "403 Forbidden", "{\"message\": \"the token is missing\"}");
    return;
  }
  get_header(request->headers, "Sec-WebSocket-Key", key, sizeof key);
  if (*key && has_header(request, "Upgrade", "websocket")) {
    open_websocket(client, key);
  } else if (starts_with(rest, "api/")) {
    write_api(rest + strlen("api/"), body, sizeof body);
    finish_json(client, request, *body ? "200 OK" : "404 Not Found", *body ? body : "{}");
  } else {
    usage.last_page = time(NULL);
    finish(client, request, "200 OK", "text/html",
           "<!doctype html>\n<title>stub</title>\n<p>A stub of a notebook server.</p>\n");
  }
}

static size_t give_up(struct connection *client, const char *status) {
  struct request request = {.is_last = true};
  finish(client, &request, status, "text/plain", "");
  return client->in_length;
}

size_t serve_request(struct connection *client) {
  char *in = client->in, value[32];
  char *end = strstr(in, "\r\n\r\n"), *line_end = strstr(in, "\r\n");
  if (!end) {
    return client->in_length < IN_SIZE ? 0 : give_up(client, "431 Request Header Fields Too Large");
  }
  struct request request = {.headers = line_end + 2};
  get_header(request.headers, "Content-Length", value, sizeof value);
  size_t length = (size_t)(end + 4 - in), body = strtoul(value, NULL, 10);
  if (body > IN_SIZE - length) {
    return give_up(client, "413 Content Too Large");
  }
  if (client->in_length < length + body) {
    return 0;
  }
  char *target = memchr(in, ' ', (size_t)(line_end - in));
  char *version = target ? memchr(target + 1, ' ', (size_t)(line_end - target - 1)) : NULL;
  if (!version) {
    return give_up(client, "400 Bad Request");
  }
  *version = 0;
  request.path = target + 1;
  request.query = request.path + strcspn(request.path, "?");
  if (*request.query) {
    *request.query++ = 0;
  }
  request.is_head = starts_with(in, "HEAD ");
  bool is_old = starts_with(version + 1, "HTTP/1.0");
  request.is_last = is_old || has_header(&request, "Connection", "close");
  answer(client, &request);
  return length + body;
}
