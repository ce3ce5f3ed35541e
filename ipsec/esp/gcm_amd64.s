//go:build amd64 && !purego

#include "textflag.h"

// AES-GCM with 512-bit registers (VAES, VPCLMULQDQ): four blocks in a register,
// sixteen in a group. Both routines work on whole groups.
//
// Registers Z0 to Z15 only: VZEROUPPER leaves none of them to be saved when the
// thread is switched.

// swap32 turns the last four bytes of a block around: the counter of GCM is
// big-endian (SP 800-38D 6.5).
DATA swap32<>+0(SB)/8, $0x0706050403020100
DATA swap32<>+8(SB)/8, $0x0c0d0e0f0b0a0908
GLOBL swap32<>(SB), RODATA|NOPTR, $16

// reverse turns a block around.
DATA reverse<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse<>+8(SB)/8, $0x0001020304050607
GLOBL reverse<>(SB), RODATA|NOPTR, $16

// upTo3 adds 0, 1, 2, 3 to the counters of a register, four adds 4 to each.
DATA upTo3<>+0(SB)/8, $0
DATA upTo3<>+8(SB)/8, $0
DATA upTo3<>+16(SB)/8, $0
DATA upTo3<>+24(SB)/8, $0x0000000100000000
DATA upTo3<>+32(SB)/8, $0
DATA upTo3<>+40(SB)/8, $0x0000000200000000
DATA upTo3<>+48(SB)/8, $0
DATA upTo3<>+56(SB)/8, $0x0000000300000000
GLOBL upTo3<>(SB), RODATA|NOPTR, $64

DATA four<>+0(SB)/8, $0
DATA four<>+8(SB)/8, $0x0000000400000000
GLOBL four<>(SB), RODATA|NOPTR, $16

// polynomial is that of GCM with its bits in opposite order.
DATA polynomial<>+0(SB)/8, $1
DATA polynomial<>+8(SB)/8, $0xc200000000000000
GLOBL polynomial<>(SB), RODATA|NOPTR, $16

// NEXT4 makes the next four counter blocks.
#define NEXT4(z) \
	VPSHUFB Z13, Z0, z; \
	VPADDD  Z14, Z0, Z0

// EACH4 does op(Z5, Zn) for the four registers of a group.
#define EACH4(op) \
	op Z5, Z1, Z1; \
	op Z5, Z2, Z2; \
	op Z5, Z3, Z3; \
	op Z5, Z4, Z4

// MIX4 adds the data at an offset to key stream, and puts it there.
#define MIX4(z, at) \
	VPXORQ    at(DX), z, z; \
	VMOVDQU64 z, at(DX)

// func counter16(keys *byte, rounds, groups int, counter *[16]byte, data *byte)
TEXT ·counter16(SB), NOSPLIT, $0-40
	MOVQ keys+0(FP), AX
	MOVQ rounds+8(FP), CX
	SHLQ $4, CX
	ADDQ AX, CX             // the last round key
	MOVQ groups+16(FP), BX
	MOVQ counter+24(FP), SI
	MOVQ data+32(FP), DX
	VBROADCASTI32X4 swap32<>(SB), Z13
	VBROADCASTI32X4 four<>(SB), Z14
	VBROADCASTI32X4 (SI), Z0
	VPSHUFB Z13, Z0, Z0
	VPADDD upTo3<>(SB), Z0, Z0

counterGroup:
	NEXT4(Z1)
	NEXT4(Z2)
	NEXT4(Z3)
	NEXT4(Z4)
	VBROADCASTI32X4 (AX), Z5
	EACH4(VPXORQ)
	LEAQ 16(AX), DI

counterRound:
	VBROADCASTI32X4 (DI), Z5
	EACH4(VAESENC)
	ADDQ $16, DI
	CMPQ DI, CX
	JNE  counterRound
	VBROADCASTI32X4 (CX), Z5
	EACH4(VAESENCLAST)
	MIX4(Z1, 0)
	MIX4(Z2, 64)
	MIX4(Z3, 128)
	MIX4(Z4, 192)
	ADDQ $256, DX
	DECQ BX
	JNZ  counterGroup

	VPSHUFB X13, X0, X0
	VMOVDQU X0, (SI)
	VZEROUPPER
	RET

// LOAD4 loads four blocks to Z1, and the powers that they are multiplied with to Z2.
#define LOAD4(at) \
	VMOVDQU64 at(DX), Z1; \
	VPSHUFB   Z15, Z1, Z1; \
	VMOVDQU64 at(SI), Z2

// MULTIPLY4 adds the products of Z1 and Z2 to the sums: Z3 of the low halves, Z4
// of the high ones, Z5 of those across.
#define MULTIPLY4 \
	VPCLMULQDQ $0x00, Z2, Z1, Z6; \
	VPCLMULQDQ $0x11, Z2, Z1, Z7; \
	VPCLMULQDQ $0x01, Z2, Z1, Z8; \
	VPCLMULQDQ $0x10, Z2, Z1, Z9; \
	VPXORQ Z6, Z3, Z3; \
	VPXORQ Z7, Z4, Z4; \
	VPXORQ Z8, Z5, Z5; \
	VPXORQ Z9, Z5, Z5

// FOLD adds up the four lanes of a register.
#define FOLD(z, y, x) \
	VEXTRACTI64X4 $1, z, Y6; \
	VPXOR         Y6, y, y; \
	VEXTRACTI128  $1, y, X6; \
	VPXOR         X6, x, x

// REDUCE takes 64 bits off the low half of the product.
#define REDUCE \
	VPCLMULQDQ $0x01, X3, X14, X6; \
	VPSHUFD    $0x4e, X3, X3; \
	VPXOR      X6, X3, X3

// func ghash16(sum *[16]byte, powers *[16][16]byte, groups int, data *byte)
TEXT ·ghash16(SB), NOSPLIT, $0-32
	MOVQ sum+0(FP), DI
	MOVQ powers+8(FP), SI
	MOVQ groups+16(FP), BX
	MOVQ data+24(FP), DX
	VBROADCASTI32X4 reverse<>(SB), Z15
	VMOVDQU polynomial<>(SB), X14
	VMOVDQU (DI), X0
	VPSHUFB X15, X0, X0

hashGroup:
	VPXORQ Z3, Z3, Z3
	VPXORQ Z4, Z4, Z4
	VPXORQ Z5, Z5, Z5
	LOAD4(0)
	VPXORQ Z0, Z1, Z1       // the sum so far stands in the lowest lane
	MULTIPLY4
	LOAD4(64)
	MULTIPLY4
	LOAD4(128)
	MULTIPLY4
	LOAD4(192)
	MULTIPLY4
	FOLD(Z3, Y3, X3)
	FOLD(Z4, Y4, X4)
	FOLD(Z5, Y5, X5)
	VPSLLDQ $8, X5, X6
	VPXOR   X6, X3, X3
	VPSRLDQ $8, X5, X5
	VPXOR   X5, X4, X4
	REDUCE
	REDUCE
	VPXOR X3, X4, X0
	ADDQ $256, DX
	DECQ BX
	JNZ  hashGroup

	VPSHUFB X15, X0, X0
	VMOVDQU X0, (DI)
	VZEROUPPER
	RET
