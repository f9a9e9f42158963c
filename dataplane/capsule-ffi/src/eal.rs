//! The start of DPDK's environment (EAL), by the arguments that capsule gives it.

use std::ffi::{CStr, c_char, c_int};

/// Options that have another name since DPDK 20.11, beside that name.
const RENAMED: [(&CStr, &CStr); 2] = [
    (c"--master-lcore", c"--main-lcore"),
    (c"--pci-whitelist", c"--allow"),
];

/// Starts the EAL, in the way of DPDK 19.11: options that were renamed since are given by their
/// present names. capsule takes PCI addresses with letters in them for names of virtual devices,
/// which is put right too.
///
/// # Safety
///
/// `argv` points to `argc` strings that end in a zero byte.
pub unsafe fn rte_eal_init(argc: c_int, argv: *mut *mut c_char) -> c_int {
    unsafe extern "C" {
        #[link_name = "rte_eal_init"]
        fn init(argc: c_int, argv: *mut *mut c_char) -> c_int;
    }
    let count = usize::try_from(argc).unwrap_or_default();
    // SAFETY: the caller vouches for that many strings.
    let given: Vec<*mut c_char> = (0..count).map(|at| unsafe { *argv.add(at) }).collect();
    let texts: Vec<&CStr> = given
        .iter()
        // SAFETY: as above; they are only read, before the EAL sees them.
        .map(|&argument| unsafe { CStr::from_ptr(argument) })
        .collect();
    let mut arguments: Vec<*mut c_char> = given
        .iter()
        .zip(&texts)
        .zip(texts.iter().skip(1).map(Some).chain([None]))
        .map(|((&argument, text), next)| match present_name(text, next) {
            Some(name) => name.as_ptr().cast_mut(),
            None => argument,
        })
        .collect();
    arguments.push(std::ptr::null_mut());
    // SAFETY: as many strings as told, and the null pointer after them that getopt looks for. The
    // EAL moves the pointers about but writes into no string.
    unsafe { init(argc, arguments.as_mut_ptr()) }
}

/// The name of the option `text` today, if it is another; `next` is the argument after it.
fn present_name(text: &CStr, next: Option<&&CStr>) -> Option<&'static CStr> {
    if text == c"--vdev" && next.is_some_and(|device| is_pci_address(device.to_bytes())) {
        return Some(c"--allow");
    }
    let renamed = RENAMED.iter().find(|(old, _)| *old == text);
    renamed.map(|(_, present)| *present)
}

/// Whether this is a PCI address with its domain, as `0000:3b:00.0`.
fn is_pci_address(text: &[u8]) -> bool {
    let pattern = b"hhhh:hh:hh.h";
    text.len() == pattern.len()
        && text
            .iter()
            .zip(pattern)
            .all(|(byte, expected)| match expected {
                b'h' => byte.is_ascii_hexdigit(),
                literal => byte == literal,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_their_present_names() {
        assert_eq!(present_name(c"--master-lcore", None), Some(c"--main-lcore"));
        assert_eq!(
            present_name(c"--pci-whitelist", Some(&c"0000:02:00.0")),
            Some(c"--allow")
        );
        assert_eq!(
            present_name(c"--vdev", Some(&c"0000:3b:00.0")),
            Some(c"--allow")
        );
        assert_eq!(present_name(c"--vdev", Some(&c"net_null0")), None);
        assert_eq!(present_name(c"-l", Some(&c"0")), None);
    }
}
