// A tiny stand-in for a notebook server, for tests with many of them.
//
// It takes the port, address, base URL and token of any command for Jupyter, as
// `--port=8888` or `--ServerApp.port=8888`, and the token from JUPYTER_TOKEN.
// STUB_START_DELAY_MS lets it sleep before it listens, STUB_EXIT_AFTER_MS ends it.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "stub.h"

enum { BACKLOG = 128, EVENTS = 64 };

struct settings settings = {.ip = "0.0.0.0", .port = 8888, .base = "/", .token = ""};
struct usage usage;

static void die(const char *what) {
  fprintf(stderr, "stub: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void end_well(int signal) {
  (void)signal;
  _exit(0);
}

static void end_badly(int signal) {
  (void)signal;
  _exit(1);
}

// Settings

// Returns the value of `--name=value` or `--Any.name=value`, NULL of another argument.
static const char *value_of(const char *argument, const char *name) {
  const char *equals = strchr(argument, '=');
  size_t length = strlen(name);
  if (!equals || strncmp(argument, "--", 2) || (size_t)(equals - argument) < length + 2) {
    return NULL;
  }
  const char *found = equals - length;
  bool is_whole = found[-1] == '.' || found == argument + 2;
  return is_whole && !strncmp(found, name, length) ? equals + 1 : NULL;
}

static void read_settings(char **arguments) {
  const char *value;
  for (char **at = arguments; *at; at++) {
    if ((value = value_of(*at, "ip")) && *value) {
      settings.ip = value;
    } else if ((value = value_of(*at, "port"))) {
      settings.port = atoi(value);
    } else if ((value = value_of(*at, "token"))) {
      settings.token = value;
    } else if ((value = value_of(*at, "base_url"))) {
      bool has_slash = *value && value[strlen(value) - 1] == '/';
      snprintf(settings.base, sizeof settings.base, "%s%s", value, has_slash ? "" : "/");
    }
  }
  if ((value = getenv("JUPYTER_TOKEN")) && *value) {
    settings.token = value;
  }
}

static long milliseconds(const char *variable) {
  const char *value = getenv(variable);
  return value ? atol(value) : 0;
}

// As the first process of a container it would ignore the signals it does not handle.
static void handle_signals(void) {
  signal(SIGTERM, end_well);
  signal(SIGINT, end_well);
  signal(SIGALRM, end_badly);
  long life = milliseconds("STUB_EXIT_AFTER_MS");
  struct itimerval timer = {.it_value = {life / 1000, life % 1000 * 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void sleep_before_start(void) {
  long delay = milliseconds("STUB_START_DELAY_MS");
  nanosleep(&(struct timespec){delay / 1000, delay % 1000 * 1000000}, NULL);
}

// Connections

void put(struct connection *to, const void *bytes, size_t length) {
  if (length > OUT_SIZE - to->out_length) {
    to->is_ending = true;
    return;
  }
  memcpy(to->out + to->out_length, bytes, length);
  to->out_length += length;
}

void print(struct connection *to, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  put(to, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static void drop(struct connection *client) {
  usage.websockets -= client->is_websocket;
  close(client->fd);
  free(client);
}

// Sends what waits. Returns false once the connection is lost.
static bool flush(struct connection *client) {
  while (client->out_sent < client->out_length) {
    ssize_t sent = send(client->fd, client->out + client->out_sent,
                        client->out_length - client->out_sent, MSG_NOSIGNAL);
    if (sent < 0) {
      return errno == EAGAIN || errno == EINTR;
    }
    client->out_sent += (size_t)sent;
  }
  client->out_length = client->out_sent = 0;
  return true;
}

static void forget(struct connection *client, size_t used) {
  client->in_length -= used;
  memmove(client->in, client->in + used, client->in_length);
  client->in[client->in_length] = 0;
}

// Uses up what arrived, one request or frame after the other, as long as the answers get away.
static bool serve(struct connection *client) {
  while (client->in_length && !client->out_length && !client->is_ending) {
    size_t used = client->is_websocket ? serve_frame(client) : serve_request(client);
    if (!used) {
      break;
    }
    forget(client, used);
    if (!flush(client)) {
      return false;
    }
  }
  return !(client->is_ending && !client->out_length);
}

static bool receive(struct connection *client) {
  ssize_t got = recv(client->fd, client->in + client->in_length, IN_SIZE - client->in_length, 0);
  if (got <= 0) {
    return got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  client->in_length += (size_t)got;
  client->in[client->in_length] = 0;
  return true;
}

// While an answer waits to be sent, nothing more is read: a slow client is its own problem.
static void wait_for_more(int poll, struct connection *client, int operation) {
  struct epoll_event event = {
      .events = client->out_length ? EPOLLOUT : EPOLLIN,
      .data.ptr = client,
  };
  if (epoll_ctl(poll, operation, client->fd, &event)) {
    die("epoll");
  }
}

static void react(int poll, struct connection *client) {
  bool was_sending = client->out_length;
  bool is_alive = was_sending ? flush(client) : receive(client);
  if (!is_alive || !serve(client)) {
    drop(client);
  } else if (was_sending != (client->out_length != 0)) {
    wait_for_more(poll, client, EPOLL_CTL_MOD);
  }
}

static void welcome(int poll, int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE) {
      die("accept");
    }
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  struct connection *client = malloc(sizeof *client);
  if (!client) {
    die("malloc");
  }
  memset(client, 0, offsetof(struct connection, in)); // no more, or every page would be touched
  client->fd = fd;
  wait_for_more(poll, client, EPOLL_CTL_ADD);
}

static int listen_at(const char *ip, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) {
    errno = EINVAL;
    die("--ip takes an IPv4 address");
  }
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, BACKLOG)) {
    die("cannot listen");
  }
  return listener;
}

int main(int count, char **arguments) {
  (void)count;
  read_settings(arguments);
  handle_signals();
  sleep_before_start();
  usage.started = usage.last_page = time(NULL);
  int listener = listen_at(settings.ip, settings.port), poll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event events[EVENTS], listening = {.events = EPOLLIN, .data.ptr = NULL};
  if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &listening)) {
    die("epoll");
  }
  fprintf(stderr, "stub: listening on http://%s:%d%s\n", settings.ip, settings.port, settings.base);
  for (;;) {
    int ready = epoll_wait(poll, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr) {
        react(poll, events[i].data.ptr);
      } else {
        welcome(poll, listener);
      }
    }
  }
}
