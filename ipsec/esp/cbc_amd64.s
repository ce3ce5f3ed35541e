//go:build amd64 && !purego

#include "textflag.h"

// AES-CBC with AES-NI. One AESENC has a latency of 3 to 4 cycles and one or two
// can begin each cycle, so a single CBC chain leaves most of the unit idle. The
// routines below keep eight blocks in flight: encryption those of eight packets,
// decryption, where blocks do not wait for each other, those of one.
//
// Registers: X0 to X7 the blocks, X8 a round key, X9 scratch. AX the round keys,
// CX 16 times the number of rounds, BX blocks left, DX offset.

// EACH8 does op(X8, Xn) for all eight blocks.
#define EACH8(op) \
	op X8, X0; op X8, X1; op X8, X2; op X8, X3; \
	op X8, X4; op X8, X5; op X8, X6; op X8, X7

// ROUND8 does one middle round with the round key at an offset.
#define ROUND8(op, key) \
	MOVUPS key(AX), X8; \
	EACH8(op)

// ROUNDS8 does all rounds but the first and the last: 9, 11 or 13 of them.
#define ROUNDS8(op, last) \
	ROUND8(op, 16); ROUND8(op, 32); ROUND8(op, 48); \
	ROUND8(op, 64); ROUND8(op, 80); ROUND8(op, 96); \
	ROUND8(op, 112); ROUND8(op, 128); ROUND8(op, 144); \
	CMPQ CX, $160; \
	JEQ  last; \
	ROUND8(op, 160); ROUND8(op, 176); \
	CMPQ CX, $192; \
	JEQ  last; \
	ROUND8(op, 192); ROUND8(op, 208)

// MIX adds the block at lane+DX to a register.
#define MIX(lane, x) \
	MOVUPS (lane)(DX*1), X9; \
	PXOR   X9, x

// func encrypt8(keys *byte, rounds, blocks int, lanes *[8]*byte, ivs *[8][16]byte)
TEXT ·encrypt8(SB), NOSPLIT, $0-40
	MOVQ keys+0(FP), AX
	MOVQ rounds+8(FP), CX
	SHLQ $4, CX
	MOVQ blocks+16(FP), BX
	MOVQ ivs+32(FP), DX
	MOVUPS 0(DX), X0
	MOVUPS 16(DX), X1
	MOVUPS 32(DX), X2
	MOVUPS 48(DX), X3
	MOVUPS 64(DX), X4
	MOVUPS 80(DX), X5
	MOVUPS 96(DX), X6
	MOVUPS 112(DX), X7
	MOVQ lanes+24(FP), DX
	MOVQ 0(DX), R8
	MOVQ 8(DX), R9
	MOVQ 16(DX), R10
	MOVQ 24(DX), R11
	MOVQ 32(DX), R12
	MOVQ 40(DX), R13
	MOVQ 48(DX), SI
	MOVQ 56(DX), DI
	XORQ DX, DX

encryptBlock:
	MIX(R8, X0)
	MIX(R9, X1)
	MIX(R10, X2)
	MIX(R11, X3)
	MIX(R12, X4)
	MIX(R13, X5)
	MIX(SI, X6)
	MIX(DI, X7)
	MOVUPS (AX), X8
	EACH8(PXOR)
	ROUNDS8(AESENC, encryptLast)

encryptLast:
	MOVUPS (AX)(CX*1), X8
	EACH8(AESENCLAST)
	MOVUPS X0, (R8)(DX*1)
	MOVUPS X1, (R9)(DX*1)
	MOVUPS X2, (R10)(DX*1)
	MOVUPS X3, (R11)(DX*1)
	MOVUPS X4, (R12)(DX*1)
	MOVUPS X5, (R13)(DX*1)
	MOVUPS X6, (SI)(DX*1)
	MOVUPS X7, (DI)(DX*1)
	ADDQ $16, DX
	DECQ BX
	JNZ  encryptBlock
	MOVQ ivs+32(FP), DX
	MOVUPS X0, 0(DX)
	MOVUPS X1, 16(DX)
	MOVUPS X2, 32(DX)
	MOVUPS X3, 48(DX)
	MOVUPS X4, 64(DX)
	MOVUPS X5, 80(DX)
	MOVUPS X6, 96(DX)
	MOVUPS X7, 112(DX)
	RET

// func decrypt8(keys *byte, rounds, groups int, data *byte, iv *[16]byte)
//
// X10 is the ciphertext block before the group, X11 the last of the group.
TEXT ·decrypt8(SB), NOSPLIT, $0-40
	MOVQ keys+0(FP), AX
	MOVQ rounds+8(FP), CX
	SHLQ $4, CX
	MOVQ groups+16(FP), BX
	MOVQ data+24(FP), SI
	MOVQ iv+32(FP), DX
	MOVUPS (DX), X10

decryptGroup:
	MOVUPS 0(SI), X0
	MOVUPS 16(SI), X1
	MOVUPS 32(SI), X2
	MOVUPS 48(SI), X3
	MOVUPS 64(SI), X4
	MOVUPS 80(SI), X5
	MOVUPS 96(SI), X6
	MOVUPS 112(SI), X7
	MOVAPS X7, X11
	MOVUPS (AX), X8
	EACH8(PXOR)
	ROUNDS8(AESDEC, decryptLast)

decryptLast:
	MOVUPS (AX)(CX*1), X8
	EACH8(AESDECLAST)
	PXOR X10, X0
	MOVUPS 0(SI), X9
	PXOR X9, X1
	MOVUPS 16(SI), X9
	PXOR X9, X2
	MOVUPS 32(SI), X9
	PXOR X9, X3
	MOVUPS 48(SI), X9
	PXOR X9, X4
	MOVUPS 64(SI), X9
	PXOR X9, X5
	MOVUPS 80(SI), X9
	PXOR X9, X6
	MOVUPS 96(SI), X9
	PXOR X9, X7
	MOVUPS X0, 0(SI)
	MOVUPS X1, 16(SI)
	MOVUPS X2, 32(SI)
	MOVUPS X3, 48(SI)
	MOVUPS X4, 64(SI)
	MOVUPS X5, 80(SI)
	MOVUPS X6, 96(SI)
	MOVUPS X7, 112(SI)
	MOVAPS X11, X10
	ADDQ $128, SI
	DECQ BX
	JNZ  decryptGroup
	MOVUPS X10, (DX)
	RET

// func subWord(w uint32) uint32
//
// The S-box on each byte, without a table that a cache could give away.
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL w+0(FP), AX
	MOVQ AX, X0
	PSHUFD $0, X0, X0
	AESKEYGENASSIST $0, X0, X1
	MOVQ X1, AX
	MOVL AX, ret+8(FP)
	RET

// func invMix(dst, src *[16]byte)
TEXT ·invMix(SB), NOSPLIT, $0-16
	MOVQ dst+0(FP), AX
	MOVQ src+8(FP), BX
	MOVUPS (BX), X0
	AESIMC X0, X1
	MOVUPS X1, (AX)
	RET
