; A floppy's first three sectors that uses every processor of an MP PC: INIT and start-up IPIs, a spinlock, an atomic counter, IPIs with answers.
; Prints on COM1:  cpus=N sum=... locked=... ipis=...   (hexadecimal), then powers off.
        cpu 686
        org 0x7c00
LAPIC   equ 0xfee00000
VARS    equ 0x6000
online  equ VARS                ; application processors that are up
lockvar equ VARS + 4
sum     equ VARS + 8            ; under the spinlock
atomic  equ VARS + 12           ; lock inc
done    equ VARS + 16
ipis    equ VARS + 20
others  equ VARS + 24           ; processors but this one, as POST counted them (CMOS 5Fh)
AP      equ 0x9000
ROUNDS  equ 500
IPIS    equ 20
VECTOR  equ 0x50

        bits 16
start:  cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, 0x7c00
        mov     ax, 0x0202      ; the rest
        mov     bx, 0x7e00
        mov     cx, 2
        xor     dx, dx
        int     0x13
        jmp     main
        times 510 - ($ - $$) db 0
        dw      0xaa55
main:   mov     di, VARS
        mov     cx, 16
        xor     ax, ax
        rep stosw
        mov     al, 0x5f
        out     0x70, al
        in      al, 0x71
        mov     [others], al
        mov     si, ap16
        mov     di, AP
        mov     cx, ap16_end - ap16
        rep movsb
        mov     al, 0xff        ; the 8259s are out of the game
        out     0x21, al
        out     0xa1, al
        call    protect
        bits 32
        mov     esp, 0x7c00
        call    prepare
        cmp     dword [others], 0
        je      .work
        mov     eax, 0x000c4500 ; INIT, all but self
        call    ipi
        mov     eax, 0x000c4600 | (AP >> 12)
        call    ipi
        mov     eax, 0x000c4600 | (AP >> 12)
        call    ipi
.up:    pause
        mov     eax, [online]
        cmp     eax, [others]
        jne     .up
.work:  call    work
.wait:  pause
        mov     eax, [done]
        dec     eax
        cmp     eax, [others]
        jne     .wait
        mov     ebx, IPIS
.ipis:  cmp     dword [others], 0
        je      .none
        mov     eax, 0x000c4000 | VECTOR
        call    ipi
.none:  mov     ecx, IPIS + 1
        sub     ecx, ebx
        imul    ecx, [others]
.seen:  pause
        cmp     [ipis], ecx
        jne     .seen
        dec     ebx
        jnz     .ipis
        mov     esi, t_cpus
        mov     eax, [online]
        inc     eax
        call    print
        mov     eax, [sum]
        call    print
        mov     eax, [atomic]
        call    print
        mov     eax, [ipis]
        call    print
        mov     esi, t_off
        mov     dx, 0x8900
.off:   lodsb
        out     dx, al
        jmp     .off

; Sends the IPI in eax.
ipi:    mov     [LAPIC + 0x300], eax
.busy:  test    dword [LAPIC + 0x300], 0x1000
        jnz     .busy
        ret

; The text at esi up to its zero, then eax.
print:  mov     ecx, eax
        mov     edx, 0x3f8
.text:  lodsb
        test    al, al
        jz      .digits
        out     dx, al
        jmp     .text
.digits:
        mov     ebx, 8
.next:  rol     ecx, 4
        mov     al, cl
        and     al, 15
        add     al, '0'
        cmp     al, '9'
        jbe     .out
        add     al, 'A' - '9' - 1
.out:   out     dx, al
        dec     ebx
        jnz     .next
        ret

; The local APIC on, interrupt VECTOR to its handler.
prepare:
        mov     dword [LAPIC + 0xf0], 0x1ff
        mov     word [0x7000 + VECTOR * 8], handler
        mov     dword [0x7000 + VECTOR * 8 + 2], 0x8e000000 | 8
        mov     word [0x7000 + VECTOR * 8 + 6], 0
        lidt    [idtr]
        ret
handler:
        lock inc dword [ipis]
        mov     dword [LAPIC + 0xb0], 0
        iret

work:   mov     ecx, ROUNDS
.next:  lock inc dword [atomic]
.take:  lock bts dword [lockvar], 0
        jnc     .mine
.spin:  pause
        test    dword [lockvar], 1
        jnz     .spin
        jmp     .take
.mine:  mov     eax, [sum]
        inc     eax
        imul    edx, eax, 3
        mov     [sum], eax
        mov     dword [lockvar], 0
        dec     ecx
        jnz     .next
        lock inc dword [done]
        ret

ap32:   mov     eax, 1
        lock xadd [online], eax
        inc     eax
        shl     eax, 12
        lea     esp, [eax + 0x10000]
        call    prepare
        call    work
        sti
.idle:  hlt
        jmp     .idle

        bits 16
; From a near call into flat 32-bit code at the return address.
protect:
        lgdt    [gdtr]
        mov     eax, cr0
        inc     ax
        mov     cr0, eax
        jmp     8:.flat
        bits 32
.flat:  mov     eax, 16
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        movzx   eax, word [esp]
        jmp     eax

        bits 16
; Runs at AP:0, any segment.
ap16:   cli
        xor     ax, ax
        mov     ds, ax
        mov     ss, ax
        lgdt    [gdtr]
        mov     eax, cr0
        inc     ax
        mov     cr0, eax
        jmp     dword 8:ap_flat
ap16_end:
        bits 32
ap_flat:
        mov     eax, 16
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        jmp     ap32

        align 8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   dw 23
        dd gdt
idtr:   dw 0x7ff
        dd 0x7000
t_cpus: db 'cpus=', 0, ' sum=', 0, ' locked=', 0, ' ipis=', 0
t_off:  db 'Shutdown'

        times 1536 - ($ - $$) db 0
