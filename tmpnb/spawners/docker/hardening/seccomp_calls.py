"""The system calls that servers may make, in groups with their reasons. Pure.

What stands here becomes `seccomp_profile.json`: after a change run docs/generate.py. What no
group names fails with EPERM; a call newer than all of these fails with ENOSYS, as runc has it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Calls that are let through, or not, for one reason, whatever their arguments."""

    name: str
    why: str
    calls: tuple[str, ...]


def _group(name: str, why: str, calls: str) -> Group:
    return Group(name, why, tuple(sorted(calls.split())))


ALLOWED = (
    _group(
        "files",
        "open, read, write and close; the kernel checks whose file it is",
        """access close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
        fadvise64 fallocate fcntl fdatasync flock fsync ftruncate ioctl lseek open openat openat2
        pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile
        splice sync sync_file_range sync_file_range2 syncfs tee truncate umask vmsplice write
        writev cachestat""",
    ),
    _group(
        "directories and attributes",
        "names, owners, modes and times of files",
        """chdir chmod chown fchdir fchmod fchmodat fchmodat2 fchown fchownat fgetxattr flistxattr
        fremovexattr fsetxattr fstat fstatfs futimesat getcwd getdents getdents64 getxattr
        getxattrat lchown lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr
        lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat readlink readlinkat removexattr
        removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat statfs statx symlink
        symlinkat unlink unlinkat utime utimensat utimes""",
    ),
    _group(
        "waiting",
        "event loops, and changes of files that JupyterLab watches",
        """epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
        eventfd2 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch poll ppoll pselect6
        select""",
    ),
    _group(
        "memory",
        "allocators, arrays mapped from files, compilers that run what they wrote",
        """brk madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap
        mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
        remap_file_pages riscv_flush_icache""",
    ),
    _group(
        "processes and threads",
        "kernels, terminals and what they start; clone is among the calls with conditions",
        """arch_prctl execve execveat exit exit_group fork futex futex_requeue futex_wait
        futex_waitv futex_wake get_robust_list getcpu getpgid getpgrp getpid getppid getpriority
        getrlimit getrusage getsid gettid ioprio_get ioprio_set pidfd_open prctl prlimit64
        process_mrelease restart_syscall riscv_hwprobe rseq sched_get_priority_max
        sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
        sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
        sched_yield set_robust_list set_tid_address setpgid setpriority setrlimit setsid sysinfo
        times uname vfork wait4 waitid""",
    ),
    _group(
        "users",
        "who a process is; to become somebody else takes a capability",
        """capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid
        setfsuid setgid setgroups setregid setresgid setresuid setreuid setuid""",
    ),
    _group(
        "less power",
        "programs that lock themselves in, as browsers do",
        "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    ),
    _group(
        "signals",
        "interrupt and restart of kernels",
        """alarm kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask
        rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack
        signalfd signalfd4 sigreturn tgkill tkill""",
    ),
    _group(
        "time and chance",
        "clocks that are read, timers, random numbers",
        """clock_getres clock_gettime clock_nanosleep getitimer getrandom gettimeofday nanosleep
        setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
        timerfd_create timerfd_gettime timerfd_settime""",
    ),
    _group(
        "sockets",
        "what is done with one that is open; what opens one, sends by it or sets its options is"
        " among the calls with conditions",
        """accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg
        recvmsg shutdown""",
    ),
    _group(
        "between processes",
        "shared memory, semaphores and the queues of System V, which are those of the container",
        """msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget""",
    ),
)
DEBUGGERS = _group(
    "debuggers",
    "gdb, strace and py-spy, on the visitor's own processes; before Linux 4.8 ptrace undid seccomp",
    "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
)
ABSENT = _group(
    "as if there were none",
    "ENOSYS, so that programs do without: clone3 hides its flags in memory, io_uring works round"
    " these very rules, the older asynchronous calls use up what the machine has for all, and the"
    " queues of POSIX what the servers' one user has",
    """clone3 io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit io_uring_enter
    io_uring_register io_uring_setup listmount mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedsend mq_unlink statmount""",
)
