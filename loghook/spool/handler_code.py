"""The handler of SIGBUS: machine code for x86-64 and aarch64, to be read beside `guard`, which installs it.

It is called as any handler with SA_SIGINFO: the signal, a siginfo, a context. In both versions 1 goes through the slots
and 5, for an address in one of them, counts and maps an empty page there. What is not ours goes on to the handler that
was there before (4, or br), or, at 3, to the default one: the fault comes again, a signal that was sent is sent again.

DATA is the address of a page of 64-bit words: +0 the handler that was there before, +8 the size of a page, +32 an
empty sigaction as the kernel has it, +64 the slots, 32 bytes each: where a map begins, where it ends, how often it was
helped.
"""

from __future__ import annotations

__all__ = ["CODE", "DATA", "HEAD", "SLOT", "SLOTS"]

DATA = bytes.fromhex("8877665544332211")
"""Stands in the code for the address of the page of data."""
HEAD = 64
SLOT = 32
SLOTS = 120

_X86_64 = bytes.fromhex(
    "f30f1efa"  # endbr64
    "49b98877665544332211"  # movabs r9, DATA
    "4c8b4610"  # mov r8, [rsi+16]
    "4d8d5140"  # lea r10, [r9+64]
    "b978000000"  # mov ecx, SLOTS
    "4d3b02"  # 1: cmp r8, [r10]
    "7206"  # jb 2f
    "4d3b4208"  # cmp r8, [r10+8]
    "7253"  # jb 5f
    "4983c220"  # 2: add r10, 32
    "ffc9"  # dec ecx
    "75ed"  # jnz 1b
    "498b01"  # mov rax, [r9]
    "4883f801"  # cmp rax, 1
    "7740"  # ja 4f
    "448b4608"  # mov r8d, [rsi+8]
    "b80d000000"  # 3: mov eax, 13
    "bf07000000"  # mov edi, 7
    "498d7120"  # lea rsi, [r9+32]
    "31d2"  # xor edx, edx
    "41ba08000000"  # mov r10d, 8
    "0f05"  # syscall
    "4585c0"  # test r8d, r8d
    "7f1e"  # jg 6f
    "b827000000"  # mov eax, 39
    "0f05"  # syscall
    "89c7"  # mov edi, eax
    "b8ba000000"  # mov eax, 186
    "0f05"  # syscall
    "89c6"  # mov esi, eax
    "ba07000000"  # mov edx, 7
    "b8ea000000"  # mov eax, 234
    "0f05"  # syscall
    "c3"  # 6: ret
    "ffe0"  # 4: jmp rax
    "f049ff4210"  # 5: lock inc qword [r10+16]
    "4151"  # push r9
    "498b7108"  # mov rsi, [r9+8]
    "4889f7"  # mov rdi, rsi
    "48f7df"  # neg rdi
    "4c21c7"  # and rdi, r8
    "ba03000000"  # mov edx, 3
    "41ba32000000"  # mov r10d, 0x32
    "49c7c0ffffffff"  # mov r8, -1
    "4531c9"  # xor r9d, r9d
    "b809000000"  # mov eax, 9
    "0f05"  # syscall
    "4159"  # pop r9
    "483d00f0ffff"  # cmp rax, -4096
    "41b801000000"  # mov r8d, 1
    "7782"  # ja 3b
    "c3"  # ret
)
_AARCH64 = bytes.fromhex(
    "8b060058"  # ldr x11, DATA
    "290840f9"  # ldr x9, [x1, #16]
    "6a010191"  # add x10, x11, #64
    "0c0f8052"  # mov w12, #SLOTS
    "4d3940a9"  # 1: ldp x13, x14, [x10]
    "3f010deb"  # cmp x9, x13
    "63000054"  # b.lo 2f
    "3f010eeb"  # cmp x9, x14
    "83030054"  # b.lo 5f
    "4a810091"  # 2: add x10, x10, #32
    "8c050071"  # subs w12, w12, #1
    "21ffff54"  # b.ne 1b
    "6d0140f9"  # ldr x13, [x11]
    "2f0840b9"  # ldr w15, [x1, #8]
    "bf0500f1"  # cmp x13, #1
    "49000054"  # b.ls 3f
    "a0011fd6"  # br x13
    "e00080d2"  # 3: mov x0, #7
    "61810091"  # add x1, x11, #32
    "020080d2"  # mov x2, #0
    "030180d2"  # mov x3, #8
    "c81080d2"  # mov x8, #134
    "010000d4"  # svc #0
    "ff010071"  # cmp w15, #0
    "6c010054"  # b.gt 6f
    "881580d2"  # mov x8, #172
    "010000d4"  # svc #0
    "ed0300aa"  # mov x13, x0
    "481680d2"  # mov x8, #178
    "010000d4"  # svc #0
    "e10300aa"  # mov x1, x0
    "e0030daa"  # mov x0, x13
    "e20080d2"  # mov x2, #7
    "681080d2"  # mov x8, #131
    "010000d4"  # svc #0
    "c0035fd6"  # 6: ret
    "4d0940f9"  # 5: ldr x13, [x10, #16]
    "ad050091"  # add x13, x13, #1
    "4d0900f9"  # str x13, [x10, #16]
    "610540f9"  # ldr x1, [x11, #8]
    "e00301cb"  # neg x0, x1
    "0000098a"  # and x0, x0, x9
    "620080d2"  # mov x2, #3
    "430680d2"  # mov x3, #0x32
    "04008092"  # mov x4, #-1
    "050080d2"  # mov x5, #0
    "c81b80d2"  # mov x8, #222
    "010000d4"  # svc #0
    "2f008052"  # mov w15, #1
    "1ffc3fb1"  # cmn x0, #4095
    "e2fbff54"  # b.hs 3b
    "c0035fd6"  # ret
    "8877665544332211"  # DATA
)

CODE = {"x86_64": _X86_64, "aarch64": _AARCH64}
"""The handler, by machine as `os.uname` calls it."""
