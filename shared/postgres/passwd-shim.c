/*
 * Preloaded into initdb and postgres. Freestanding: no libc, so that one object serves every glibc.
 *
 * getpwuid, getpwuid_r: both programs refuse to start for a uid without a passwd entry, which is the normal case in a
 * container and for the uid that a root supervisor drops to. Every uid is answered with a fixed user.
 *
 * The constructor closes what the program that starts them left open: Deno does not mark its sockets close-on-exec, and a
 * server that outlives a killed program would keep its ports and the directory's lock.
 *
 * The functions of ICU at the end: postgres, initdb and libxml2 are linked with ICU, but only the builtin locale provider is
 * used. They stand in for libicui18n, libicuuc and libicudata, which are 32 MB, need a libstdc++ of the system, and would
 * take 2 MB of memory in an idle server. Whoever asks for a collation of ICU is told that it is not supported.
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

#define U_UNSUPPORTED_ERROR 16

static long fail(int *status) {
  *status = U_UNSUPPORTED_ERROR;
  return 0;
}

/* By the place of the UErrorCode among the arguments. What works on an opened collator or converter is never reached. */
#define FAILS_2(name) EXPORT long name##_60(long a, int *status) { (void)a; return fail(status); }
#define FAILS_4(name) EXPORT long name##_60(long a, long b, long c, int *status) { (void)a, (void)b, (void)c; return fail(status); }
#define FAILS_5(name) EXPORT long name##_60(long a, long b, long c, long d, int *status) { (void)a, (void)b, (void)c, (void)d; return fail(status); }
#define FAILS_6(name) EXPORT long name##_60(long a, long b, long c, long d, long e, int *status) { (void)a, (void)b, (void)c, (void)d, (void)e; return fail(status); }
#define FAILS_7(name) EXPORT long name##_60(long a, long b, long c, long d, long e, long f, int *status) { (void)a, (void)b, (void)c, (void)d, (void)e, (void)f; return fail(status); }
#define UNREACHED(name) EXPORT long name##_60(void) { return 0; }

FAILS_2(ucol_open)
FAILS_2(ucnv_open)
FAILS_4(uloc_getLanguage)
FAILS_5(uloc_getDisplayName)
FAILS_5(uloc_toLanguageTag)
FAILS_6(ucnv_fromUChars)
FAILS_6(ucnv_toUChars)
FAILS_6(ucol_nextSortKeyPart)
FAILS_6(ucol_openRules)
FAILS_6(ucol_strcollUTF8)
FAILS_6(u_strFoldCase)
FAILS_6(u_strToLower)
FAILS_6(u_strToUpper)
FAILS_7(u_strToTitle)

UNREACHED(UCNV_FROM_U_CALLBACK_STOP)
UNREACHED(UCNV_TO_U_CALLBACK_STOP)
UNREACHED(ucnv_close)
UNREACHED(ucnv_convertEx)
UNREACHED(ucnv_setFromUCallBack)
UNREACHED(ucnv_setToUCallBack)
UNREACHED(ucol_close)
UNREACHED(ucol_getRules)
UNREACHED(ucol_getSortKey)
UNREACHED(ucol_getVersion)
UNREACHED(ucol_strcoll)
UNREACHED(uiter_setString)
UNREACHED(uiter_setUTF8)
UNREACHED(uloc_getAvailable)
UNREACHED(u_isalnum)
UNREACHED(u_isalpha)
UNREACHED(u_isdigit)
UNREACHED(u_isgraph)
UNREACHED(u_islower)
UNREACHED(u_isprint)
UNREACHED(u_ispunct)
UNREACHED(u_isspace)
UNREACHED(u_isupper)
UNREACHED(u_strcat)
UNREACHED(u_strcpy)
UNREACHED(u_strlen)
UNREACHED(u_tolower)
UNREACHED(u_toupper)
UNREACHED(u_versionToString)

/* initdb counts from -1, the root locale, up to this: it makes no collation of ICU. */
EXPORT int uloc_countAvailable_60(void) {
  return -1;
}

EXPORT const char *u_errorName_60(int code) {
  (void)code;
  return "ICU is not part of this PostgreSQL";
}
