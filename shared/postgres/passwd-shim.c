/*
 * Preloaded into initdb and postgres. Freestanding: no libc, so that one object serves every glibc.
 *
 * getpwuid, getpwuid_r: both programs refuse to start for a uid without a passwd entry, which is the normal case in a
 * container and for the uid that a root supervisor drops to. Every uid is answered with a fixed user.
 *
 * The constructor closes what the program that starts them left open: Deno does not mark its sockets close-on-exec, and a
 * server that outlives a killed program would keep its ports and the directory's lock.
 *
 * icudt60_dat: an empty ICU data package. The server is linked with ICU but uses only the builtin locale provider;
 * this stands in for the 27 MB of libicudata.so.60 (the soname satisfies the dependency of libicuuc).
 */
typedef __SIZE_TYPE__ size_t;

/* struct passwd of glibc, the same on x86_64 and aarch64. */
struct passwd {
  const char *pw_name, *pw_passwd;
  unsigned pw_uid, pw_gid;
  const char *pw_gecos, *pw_dir, *pw_shell;
};

#define EXPORT __attribute__((visibility("default")))

static void fill(struct passwd *entry, unsigned uid) {
  entry->pw_name = "skerry";
  entry->pw_passwd = "x";
  entry->pw_uid = uid;
  entry->pw_gid = uid;
  entry->pw_gecos = "";
  entry->pw_dir = "/";
  entry->pw_shell = "/bin/sh";
}

EXPORT struct passwd *getpwuid(unsigned uid) {
  static struct passwd entry;
  fill(&entry, uid);
  return &entry;
}

EXPORT int getpwuid_r(unsigned uid, struct passwd *entry, char *buffer, size_t length, struct passwd **result) {
  (void)buffer;
  (void)length;
  fill(entry, uid);
  *result = entry;
  return 0;
}

static long syscall3(long number, long first, long second, long third) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = first;
  register long x1 __asm__("x1") = second;
  register long x2 __asm__("x2") = third;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#endif
}

#if defined(__x86_64__)
#define SYS_close 3
#else
#define SYS_close 57
#endif
#define SYS_close_range 436

__attribute__((constructor)) static void close_inherited(void) {
  if (syscall3(SYS_close_range, 3, ~0U, 0) == 0) return;
  /* Kernels before 5.9. */
  for (long descriptor = 3; descriptor < 4096; descriptor += 1) syscall3(SYS_close, descriptor, 0, 0);
}

/* DataHeader + ToC of zero entries, as ICU's own stubdata.cpp; the fields are in the byte order of the machine. */
EXPORT const struct {
  unsigned short header_size;
  unsigned char magic1, magic2;
  unsigned short info_size, reserved;
  unsigned char big_endian, charset, sizeof_uchar, reserved_byte, format[4], format_version[4], data_version[4];
  unsigned char padding[8];
  unsigned count, toc_reserved;
} icudt60_dat __attribute__((aligned(16))) = {
    32, 0xda, 0x27, 20, 0, 0, 0, 2, 0, {0x54, 0x6f, 0x43, 0x50}, {1, 0, 0, 0}, {0, 0, 0, 0}, {0}, 0, 0};
