/* Kernels for all devices, embedded as data: IMAGE is the file that nvcc made, NAME its symbol in
 * C. */
    .section .rodata
    .balign 64
    .global NAME
    .hidden NAME
    .type NAME, @object
NAME:
    .incbin IMAGE
    .size NAME, . - NAME
    .section .note.GNU-stack, "", @progbits
