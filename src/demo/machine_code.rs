//! The few machine instructions the demo's programs are made of.
//!
//! Encodings: Arm Architecture Reference Manual (A64), Intel SDM volume 2.
//! System calls: write and exit are 64 and 93 on arm64, 1 and 60 on amd64.

use super::arch::Arch;

/// Makes a program that writes `message` to standard output and exits with 0.
///
/// The code is position independent; the message follows it at once.
pub fn say(arch: Arch, message: &[u8]) -> Vec<u8> {
    let len = message.len().min(0xffff);
    let mut code = match arch {
        Arch::Arm64 => words(&[
            0xd280_0020,                     // mov x0, #1
            0x1000_0000 | (28 / 4) << 5 | 1, // adr x1, message
            movz(2, len as u32),             // mov x2, #len
            movz(8, 64),                     // mov x8, #write
            0xd400_0001,                     // svc #0
            movz(0, 0),                      // mov x0, #0
            movz(8, 93),                     // mov x8, #exit
            0xd400_0001,                     // svc #0
        ]),
        Arch::Amd64 => {
            let mut code = vec![
                0xb8, 1, 0, 0, 0, // mov eax, write
                0xbf, 1, 0, 0, 0, // mov edi, 1
                0x48, 0x8d, 0x35, 18, 0, 0, 0,    // lea rsi, [rip+18]: the message
                0xba, // mov edx, len
            ];
            code.extend((len as u32).to_le_bytes());
            code.extend([
                0x0f, 0x05, // syscall
                0xb8, 60, 0, 0, 0, // mov eax, exit
                0x31, 0xff, // xor edi, edi
                0x0f, 0x05, // syscall
                0x0f, 0x0b, // ud2
            ]);
            code
        }
    };
    code.extend(&message[..len]);
    code
}

/// Makes a program interpreter that starts the program it was loaded for.
///
/// It walks past the arguments and the environment to the auxiliary vector
/// (System V ABI, "Process Initialization") and jumps to `AT_ENTRY`. It
/// relocates nothing: the demo's programs need no relocation.
pub fn start_the_program(arch: Arch) -> Vec<u8> {
    match arch {
        Arch::Arm64 => words(&[
            0x9100_03e0,  // mov x0, sp
            0xf840_8401,  // ldr x1, [x0], #8        argc
            0x8b01_0c00,  // add x0, x0, x1, lsl #3  past the arguments
            0x9100_2000,  // add x0, x0, #8          and their end
            0xf840_8401,  // ldr x1, [x0], #8        a variable
            0xb5ff_ffe1,  // cbnz x1, the line above
            0xa8c1_0801,  // ldp x1, x2, [x0], #16   type, value
            0xf100_243f,  // cmp x1, #9              AT_ENTRY
            0x5400_00a0,  // b.eq the last line
            0xb5ff_ffa1,  // cbnz x1, the next pair
            movz(0, 127), // none: exit with 127
            movz(8, 93),  //
            0xd400_0001,  // svc #0
            0xd61f_0040,  // br x2
        ]),
        Arch::Amd64 => vec![
            0x48, 0x89, 0xe0, // mov rax, rsp
            0x48, 0x8b, 0x08, // mov rcx, [rax]: argc
            0x48, 0x8d, 0x44, 0xc8, 0x10, // lea rax, [rax+rcx*8+16]
            0x48, 0x8b, 0x08, // mov rcx, [rax]: a variable
            0x48, 0x83, 0xc0, 8, // add rax, 8
            0x48, 0x85, 0xc9, // test rcx, rcx
            0x75, 0xf4, // jne: the next one
            0x48, 0x8b, 0x08, // mov rcx, [rax]: type
            0x48, 0x8b, 0x50, 8, // mov rdx, [rax+8]: value
            0x48, 0x83, 0xc0, 16, // add rax, 16
            0x48, 0x83, 0xf9, 9, // cmp rcx, AT_ENTRY
            0x74, 0x11, // je: the last line
            0x48, 0x85, 0xc9, // test rcx, rcx
            0x75, 0xea, // jne: the next pair
            0xb8, 60, 0, 0, 0, // none: exit with 127
            0xbf, 127, 0, 0, 0, //
            0x0f, 0x05, // syscall
            0xff, 0xe2, // jmp rdx
        ],
    }
}

/// Makes an EFI program's body: it returns `EFI_UNSUPPORTED` to the firmware.
pub fn efi_unsupported(arch: Arch) -> Vec<u8> {
    match arch {
        Arch::Arm64 => words(&[
            movz(0, 3),  // mov x0, #3
            0xf2f0_0000, // movk x0, #0x8000, lsl #48
            0xd65f_03c0, // ret
        ]),
        Arch::Amd64 => vec![
            0x48, 0xb8, 3, 0, 0, 0, 0, 0, 0, 0x80, // mov rax, 0x8000000000000003
            0xc3, // ret
        ],
    }
}

/// Makes a body that waits for ever.
pub fn halt(arch: Arch) -> Vec<u8> {
    match arch {
        Arch::Arm64 => words(&[
            0xd503_207f, // wfi
            0x17ff_ffff, // b: the line above
        ]),
        Arch::Amd64 => vec![
            0xf4, // hlt
            0xeb, 0xfd, // jmp: the line above
        ],
    }
}

/// `movz x<register>, #value`.
const fn movz(register: u32, value: u32) -> u32 {
    0xd280_0000 | (value & 0xffff) << 5 | register
}

fn words(code: &[u32]) -> Vec<u8> {
    code.iter().flat_map(|word| word.to_le_bytes()).collect()
}
