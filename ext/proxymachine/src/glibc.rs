//! Lets an extension that is built with glibc 2.38 or newer load with an older one.
//!
//! In C sources that define `_GNU_SOURCE`, the headers of glibc 2.38 turn `sscanf` and `strtol` into functions that also
//! read binary numbers, which older glibcs do not have (<https://sourceware.org/glibc/wiki/Release/2.38>). aws-lc's
//! bcm.c is such a source, and reads hexadecimal and decimal numbers only. These definitions lead to the functions that
//! older headers name, which take the same arguments.
#![allow(unsafe_code)] // global_asm!, which jumps and touches neither registers nor the stack

/// The instruction that continues in another function with the same arguments.
#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    ($to:literal) => {
        concat!("jmp ", $to, "@PLT")
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    ($to:literal) => {
        concat!("b ", $to)
    };
}

/// Defines the function `from`, which only this library sees.
macro_rules! forward {
    ($from:literal, $to:literal) => {
        core::arch::global_asm!(
            concat!(".globl ", $from),
            concat!(".hidden ", $from),
            concat!(".type ", $from, ",@function"),
            concat!($from, ":"),
            jump!($to),
        );
    };
}

forward!("__isoc23_sscanf", "__isoc99_sscanf");
forward!("__isoc23_strtol", "strtol");
