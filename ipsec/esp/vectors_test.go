package esp

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

const larger = "Test Using Larger Than Block-Size Key - Hash Key First"

// RFC 2202 2 and 3, RFC 4231 4: the full values; ESP uses the first bytes.
func TestHMACVectors(t *testing.T) {
	counting := unhex("0102030405060708090a0b0c0d0e0f10111213141516171819")
	rep := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	hi, jefe, want := []byte("Hi There"), []byte("Jefe"), []byte("what do ya want for nothing?")
	trunc := []byte("Test With Truncation")
	both := []byte("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data")
	long := []byte("This is a test using a larger than block-size key and a larger than block-size data. " +
		"The key needs to be hashed before being used by the HMAC algorithm.")
	for _, v := range []struct {
		name      string
		auth      Auth
		key, data []byte
		mac       string
	}{
		{"RFC 2202 MD5 1", HMACMD5, rep(0x0b, 16), hi, "9294727a3638bb1c13f48ef8158bfc9d"},
		{"RFC 2202 MD5 2", HMACMD5, jefe, want, "750c783e6ab0b503eaa86e310a5db738"},
		{"RFC 2202 MD5 3", HMACMD5, rep(0xaa, 16), rep(0xdd, 50), "56be34521d144c88dbb8c733f0e8b3f6"},
		{"RFC 2202 MD5 4", HMACMD5, counting, rep(0xcd, 50), "697eaf0aca3a3aea3a75164746ffaa79"},
		{"RFC 2202 MD5 5", HMACMD5, rep(0x0c, 16), trunc, "56461ef2342edc00f9bab995"},
		{"RFC 2202 MD5 6", HMACMD5, rep(0xaa, 80), []byte(larger), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
		{"RFC 2202 MD5 7", HMACMD5, rep(0xaa, 80), both, "6f630fad67cda0ee1fb1f562db3aa53e"},
		{"RFC 2202 SHA1 1", HMACSHA1, rep(0x0b, 20), hi, "b617318655057264e28bc0b6fb378c8ef146be00"},
		{"RFC 2202 SHA1 2", HMACSHA1, jefe, want, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
		{"RFC 2202 SHA1 3", HMACSHA1, rep(0xaa, 20), rep(0xdd, 50), "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
		{"RFC 2202 SHA1 4", HMACSHA1, counting, rep(0xcd, 50), "4c9007f4026250c6bc8414f9bf50c86c2d7235da"},
		{"RFC 2202 SHA1 5", HMACSHA1, rep(0x0c, 20), trunc, "4c1a03424b55e07fe7f27be1"},
		{"RFC 2202 SHA1 6", HMACSHA1, rep(0xaa, 80), []byte(larger), "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
		{"RFC 2202 SHA1 7", HMACSHA1, rep(0xaa, 80), both, "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"},
		{"RFC 4231 1", HMACSHA256, rep(0x0b, 20), hi, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"RFC 4231 1", HMACSHA384, rep(0x0b, 20), hi, "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"},
		{"RFC 4231 1", HMACSHA512, rep(0x0b, 20), hi, "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
		{"RFC 4231 2", HMACSHA256, jefe, want, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"RFC 4231 2", HMACSHA384, jefe, want, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"},
		{"RFC 4231 2", HMACSHA512, jefe, want, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
		{"RFC 4231 3", HMACSHA256, rep(0xaa, 20), rep(0xdd, 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{"RFC 4231 3", HMACSHA384, rep(0xaa, 20), rep(0xdd, 50), "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27"},
		{"RFC 4231 3", HMACSHA512, rep(0xaa, 20), rep(0xdd, 50), "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb"},
		{"RFC 4231 4", HMACSHA256, counting, rep(0xcd, 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{"RFC 4231 4", HMACSHA384, counting, rep(0xcd, 50), "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb"},
		{"RFC 4231 4", HMACSHA512, counting, rep(0xcd, 50), "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd"},
		{"RFC 4231 5", HMACSHA256, rep(0x0c, 20), trunc, "a3b6167473100ee06e0c796c2955552b"},
		{"RFC 4231 5", HMACSHA384, rep(0x0c, 20), trunc, "3abf34c3503b2a23a46efc619baef897"},
		{"RFC 4231 5", HMACSHA512, rep(0x0c, 20), trunc, "415fad6271580a531d4179bc891d87a6"},
		{"RFC 4231 6", HMACSHA256, rep(0xaa, 131), []byte(larger), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{"RFC 4231 6", HMACSHA384, rep(0xaa, 131), []byte(larger), "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"},
		{"RFC 4231 6", HMACSHA512, rep(0xaa, 131), []byte(larger), "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
		{"RFC 4231 7", HMACSHA256, rep(0xaa, 131), long, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
		{"RFC 4231 7", HMACSHA384, rep(0xaa, 131), long, "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d3860e6110c46523e"},
		{"RFC 4231 7", HMACSHA512, rep(0xaa, 131), long, "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"},
	} {
		m := newMAC(Suite{AESCBC, 128, v.auth}, v.key, false)
		want := unhex(v.mac)
		for round := range 2 { // the second shows that nothing is left over from the first
			icv := m.icv(v.data, 0)
			full := m.sum
			if len(want) > len(full) || !bytes.Equal(full[:len(want)], want) {
				t.Errorf("%s %s round %d: got %x, want %x", v.name, authNames[v.auth], round, full, want)
			}
			if !bytes.Equal(icv, full[:len(icv)]) {
				t.Errorf("%s: the ICV is not the first bytes of the HMAC", v.name)
			}
		}
	}
}

// RFC 3602 4, cases 1 to 4: AES-CBC alone.
func TestRFC3602CBC(t *testing.T) {
	for _, v := range []struct{ name, key, iv, plain, sealed string }{
		{"case 1", "06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
			hex.EncodeToString([]byte("Single block msg")), "e353779c1079aeb82708942dbe77181a"},
		{"case 2", "c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
			"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			"d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"},
		{"case 3", "6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81",
			hex.EncodeToString([]byte("This is a 48-byte message (exactly 3 AES blocks)")),
			"d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684"},
		{"case 4", "56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9",
			"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
			"c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55"},
	} {
		block, err := Suite{AESCBC, 128, HMACSHA1}.block(unhex(v.key))
		if err != nil {
			t.Fatal(err)
		}
		seal, open := modeOf(block, cipher.NewCBCEncrypter, 16), modeOf(block, cipher.NewCBCDecrypter, 16)
		data := unhex(v.plain)
		for range 2 {
			seal.SetIV(unhex(v.iv))
			seal.CryptBlocks(data, data)
			if !bytes.Equal(data, unhex(v.sealed)) {
				t.Errorf("%s: sealed %x, want %s", v.name, data, v.sealed)
			}
			open.SetIV(unhex(v.iv))
			open.CryptBlocks(data, data)
			if !bytes.Equal(data, unhex(v.plain)) {
				t.Errorf("%s: opened %x, want %s", v.name, data, v.plain)
			}
		}
	}
}

// fixedIV is a block cipher whose every output is one IV: it makes the sealer
// use the IV of a vector.
type fixedIV []byte

func (f fixedIV) BlockSize() int          { return len(f) }
func (f fixedIV) Encrypt(dst, src []byte) { copy(dst, f) }
func (f fixedIV) Decrypt(dst, src []byte) { panic("not used") }

// RFC 3602 4, cases 5 to 8: whole ESP packets. They have no integrity, so an ICV
// is put behind them; everything before it must be the RFC's bytes.
func TestRFC3602Packets(t *testing.T) {
	const pingKey, tunnelKey = "90d382b410eeba7ad938c46cec1a82bf", "0123456789abcdef0123456789abcdef"
	for _, v := range []struct {
		name, key     string
		spi           uint32
		seq           uint64
		next          uint8
		payload, wire string
	}{
		{"case 5: transport mode, ping", pingKey, 0x4321, 1, 1,
			"08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
			"0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6"},
		{"case 6: transport mode, ping -p 77 -s 20", pingKey, 0x4321, 8, 1,
			"0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
			"000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75"},
		{"case 7: tunnel mode, ping", tunnelKey, 0x8765, 2, ProtoIPv4,
			"45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
			"0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d"},
		{"case 8: tunnel mode, ping -p ff -s 40", tunnelKey, 0x8765, 5, ProtoIPv4,
			"45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
			"000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892"},
	} {
		t.Run(v.name, func(t *testing.T) {
			wire := unhex(v.wire)
			c := Config{SPI: v.spi, Suite: Suite{AESCBC, 128, HMACSHA1}, Rand: zeros{},
				Keys: Keys{Enc: unhex(v.key), Auth: make([]byte, 20)}}
			out, err := NewOutbound(c)
			if err != nil {
				t.Fatal(err)
			}
			out.wake(func() any {
				s := newCBCSealer(&out.secrets)
				s.ivs = fixedIV(wire[8:24])
				return &sealWorker{sealer: s}
			})
			out.seq.Store(v.seq - 1)
			p := packetOf(unhex(v.payload))
			if err := out.Seal(&p, v.next); err != nil {
				t.Fatal(err)
			}
			sealed := p.Payload()
			if got := sealed[:len(sealed)-12]; !bytes.Equal(got, wire) {
				t.Errorf("sealed\n%x, want\n%x", got, wire)
			}
			m := newMAC(c.Suite, c.Keys.Auth, false)
			in, err := NewInbound(c)
			if err != nil {
				t.Fatal(err)
			}
			payload, next, err := in.Open(append(wire[:len(wire):len(wire)], m.icv(wire, 0)...))
			if err != nil || next != v.next || !bytes.Equal(payload, unhex(v.payload)) {
				t.Errorf("opened %x, next header %d, %v", payload, next, err)
			}
			if v.next == ProtoIPv4 {
				inner, err := ParseInner(next, payload)
				if err != nil || inner.Proto != 1 || inner.Src.String() != "192.168.123.3" || inner.Dst.String() != "192.168.123.200" {
					t.Errorf("inner packet %+v, %v", inner, err)
				}
			}
		})
	}
}
