//! The layer of system calls: seccomp filters that name what may be called and refuse the rest with `EPERM`.
//!
//! The lists were made with strace from `CPython` 3.11 and from the tools of the image. What is refused raises
//! `PermissionError` in Python, which says more to the author of a function than a dead process would.

use std::collections::BTreeMap;

use libc::{
    SYS_brk, SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_clone, SYS_clone3, SYS_close,
    SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_fcntl, SYS_fstat, SYS_futex, SYS_getcwd,
    SYS_getdents64, SYS_getegid, SYS_geteuid, SYS_getgid, SYS_getgroups, SYS_getpid, SYS_getppid,
    SYS_getrandom, SYS_getrusage, SYS_gettid, SYS_gettimeofday, SYS_getuid, SYS_ioctl, SYS_lseek,
    SYS_madvise, SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap, SYS_nanosleep, SYS_newfstatat, SYS_openat,
    SYS_pread64, SYS_prlimit64, SYS_read, SYS_readlinkat, SYS_readv, SYS_restart_syscall, SYS_rseq,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sched_getaffinity, SYS_sched_yield,
    SYS_set_robust_list, SYS_set_tid_address, SYS_sigaltstack, SYS_statx, SYS_sysinfo, SYS_times, SYS_uname,
    SYS_write, SYS_writev, c_long,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::{JailError, process::EXEC_FD};

/// What both profiles may call without conditions.
const COMMON: &[c_long] = &[
    SYS_brk,
    SYS_clock_getres,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_close,
    SYS_exit,
    SYS_exit_group,
    SYS_fstat,
    SYS_futex,
    SYS_getcwd,
    SYS_getdents64,
    SYS_getegid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getgroups,
    SYS_getpid,
    SYS_getppid,
    SYS_getrandom,
    SYS_getrusage,
    SYS_gettid,
    SYS_gettimeofday,
    SYS_getuid,
    SYS_lseek,
    SYS_madvise,
    SYS_mmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_munmap,
    SYS_nanosleep,
    SYS_newfstatat,
    SYS_pread64,
    SYS_read,
    SYS_readlinkat,
    SYS_readv,
    SYS_restart_syscall,
    SYS_rseq,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sched_getaffinity,
    SYS_sched_yield,
    SYS_set_robust_list,
    SYS_set_tid_address,
    SYS_sigaltstack,
    SYS_statx,
    SYS_sysinfo,
    SYS_times,
    SYS_uname,
    SYS_write,
    SYS_writev,
];

/// The older names of some of them, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_lstat,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_stat,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// What the tools of a shell need on top: processes, pipes, and files, which Landlock confines to the scratch folder.
const SHELL: &[c_long] = &[
    SYS_clone3,
    SYS_execve,
    SYS_execveat,
    SYS_ioctl,
    SYS_openat,
    libc::SYS_chdir,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fdatasync,
    libc::SYS_fgetxattr,
    libc::SYS_flock,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getpgid,
    libc::SYS_getpriority,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getsid,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_pwrite64,
    libc::SYS_renameat2,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sendfile,
    libc::SYS_setitimer,
    libc::SYS_splice,
    libc::SYS_statfs,
    libc::SYS_symlinkat,
    libc::SYS_tee,
    libc::SYS_truncate,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_wait4,
    libc::SYS_waitid,
];

#[cfg(target_arch = "x86_64")]
const SHELL_OLDER: &[c_long] = &[
    libc::SYS_alarm,
    libc::SYS_chmod,
    libc::SYS_creat,
    libc::SYS_dup2,
    libc::SYS_getpgrp,
    libc::SYS_link,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pause,
    libc::SYS_pipe,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_symlink,
    libc::SYS_unlink,
    libc::SYS_vfork,
];
#[cfg(not(target_arch = "x86_64"))]
const SHELL_OLDER: &[c_long] = &[libc::SYS_renameat];

/// What a shell may do with fcntl(2).
const SHELL_FCNTL: [libc::c_int; 10] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_GETPIPE_SZ,
];

/// Every flag of clone(2) that makes a namespace.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;
/// Every flag of open(2) that could change a file.
const WRITING: u64 =
    (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) as u64 | (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// The filter of a Python process. One exec is left to it: that of the interpreter through [`EXEC_FD`], a
/// descriptor that its limit on descriptors lets it never make again.
pub(super) fn python() -> Result<Vec<BpfProgram>, JailError> {
    let mut rules = unconditional(&[COMMON, OLDER]);
    only_reading_limits(&mut rules)?;
    when(&mut rules, SYS_openat, &[(2, Length::Dword, Is::MaskedEq(WRITING), 0)])?;
    when(
        &mut rules,
        SYS_execveat,
        &[
            (0, Length::Dword, Is::Eq, EXEC_FD.unsigned_abs().into()),
            (4, Length::Dword, Is::Eq, libc::AT_EMPTY_PATH as u64),
        ],
    )?;
    for request in [libc::TCGETS, libc::FIOCLEX] {
        when(&mut rules, SYS_ioctl, &[(1, Length::Dword, Is::Eq, request)])?;
    }
    for command in [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_DUPFD_CLOEXEC] {
        when(&mut rules, SYS_fcntl, &[(1, Length::Dword, Is::Eq, command.unsigned_abs().into())])?;
    }
    Ok(vec![compile(rules, libc::EPERM, SeccompAction::Allow)?])
}

/// The filters of a shell. The second answers `ENOSYS` to clone3, whose flags no filter can see, so that the C
/// library falls back to clone.
pub(super) fn shell() -> Result<Vec<BpfProgram>, JailError> {
    let mut rules = unconditional(&[COMMON, OLDER, SHELL, SHELL_OLDER]);
    only_reading_limits(&mut rules)?;
    // Without F_SETOWN and F_SETSIG, by which a pipe could be made to signal the supervisor.
    for command in SHELL_FCNTL {
        when(&mut rules, SYS_fcntl, &[(1, Length::Dword, Is::Eq, command.unsigned_abs().into())])?;
    }
    when(&mut rules, SYS_clone, &[(0, Length::Qword, Is::MaskedEq(NAMESPACES), 0)])?;
    let allowed = compile(rules, libc::EPERM, SeccompAction::Allow)?;
    let errno = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let no_clone3 = build(unconditional(&[&[SYS_clone3]]), SeccompAction::Allow, errno)?;
    Ok(vec![no_clone3, allowed])
}

fn unconditional(lists: &[&[c_long]]) -> Rules {
    lists.iter().copied().flatten().map(|&call| (call, Vec::new())).collect()
}

fn only_reading_limits(rules: &mut Rules) -> Result<(), JailError> {
    when(rules, SYS_prlimit64, &[(0, Length::Dword, Is::Eq, 0), (2, Length::Qword, Is::Eq, 0)])
}

/// Allows `call` when all `conditions` on its arguments hold, or any earlier set of them.
fn when(rules: &mut Rules, call: c_long, conditions: &[(u8, Length, Is, u64)]) -> Result<(), JailError> {
    let conditions = conditions
        .iter()
        .map(|(argument, length, operator, value)| {
            SeccompCondition::new(*argument, length.clone(), operator.clone(), *value)
        })
        .collect::<Result<_, _>>()
        .and_then(SeccompRule::new)
        .map_err(fault)?;
    rules.entry(call).or_default().push(conditions);
    Ok(())
}

fn compile(rules: Rules, refusal: i32, allowed: SeccompAction) -> Result<BpfProgram, JailError> {
    build(rules, SeccompAction::Errno(refusal.unsigned_abs()), allowed)
}

fn build(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<BpfProgram, JailError> {
    let machine = std::env::consts::ARCH;
    let target = TargetArch::try_from(machine).map_err(|_| JailError::Architecture(machine.to_owned()))?;
    SeccompFilter::new(rules, otherwise, listed, target).and_then(TryInto::try_into).map_err(fault)
}

#[expect(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
fn fault(error: seccompiler::BackendError) -> JailError {
    JailError::Layer {
        layer: "seccomp",
        message: error.to_string(),
        advice: "this is a fault of DiSE, please report it",
    }
}
