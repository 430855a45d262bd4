//! Names that are drawn: of processes, and of attempts to share a run.

/// 16 hexadecimal digits.
pub(super) fn drawn() -> String {
    let mut bytes = [0_u8; 8];
    let drawn = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    match drawn {
        Ok(_) => format!("{:016x}", u64::from_be_bytes(bytes)),
        // It tells two processes of one name apart, and nothing else.
        Err(_) => format!("{:016x}", std::process::id()),
    }
}
