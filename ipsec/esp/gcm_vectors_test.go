package esp

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// The ESP packets of draft-mcgrew-gcm-test-01, which goes with RFC 4106: header,
// IV, ciphertext and ICV as on the wire. With 12 bytes of additional data the SA
// has extended sequence numbers.
var gcmPackets = []struct {
	name        string
	keymat      string // key, then salt
	iv, aad     string
	sealed, icv string
	payload     string // behind it comes next header 1 in all of them
}{
	{name: "page 6: 128 bits, ESN, UDP in IPv4",
		keymat: "4c80cdefbb5d10da906ac73c3613a634 2e443b68", iv: "4956ed7e3b244cfe", aad: "00004321 87654321 00000000",
		sealed:  "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732",
		icv:     "459018148f6cbe722fd04796562dfdb4",
		payload: "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f756470037369700963796265726369747902646b0000210001"},
	{name: "page 7: 128 bits, UDP in IPv4",
		keymat: "feffe9928665731c6d6a8f9467308308 cafebabe", iv: "facedbaddecaf888", aad: "0000a5f8 0000000a",
		sealed:  "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1",
		icv:     "83b70d3aa8bc6ee4c309e9d85a41ad4a",
		payload: "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d001000001000000000000037369700963796265726369747902646b0000010001"},
	{name: "page 8: 256 bits, TCP in IPv4",
		keymat: "abbccddef00112233445566778899aab abbccddef00112233445566778899aab 11223344", iv: "0102030405060708", aad: "4a2cbfe3 00000002",
		sealed:  "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f0545659f14e99def842d8e",
		icv:     "b335f4eecfdbf831824b4c4915956c96",
		payload: "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b401010402"},
	{name: "page 9: 128 bits, zero key",
		keymat: "00000000000000000000000000000000 00000000", iv: "0000000000000000", aad: "00000000 00000001",
		sealed:  "4688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284456476492719ffb64de7d9dca1e1d894bc3bd57873ed4d181d19d4d5c8c18af3",
		icv:     "f821d496eeb096e98ad2b69e4799c71d",
		payload: "4500003c99c500008001cb7a40679318010101010800075c020044006162636465666768696a6b6c6d6e6f7071727374757677616263646566676869"},
	{name: "page 10: 128 bits, ESN",
		keymat: "3de09874b388e6491988d0c3607eae1f 57690e43", iv: "4e280000a2fca1a3", aad: "42f67e3f 10101010 10101010",
		sealed:  "fba2caa4853cf9f0f22cb10d86dd83b0fec75691cf1a04b00d1138ec9c35791765acbd8701ad79845bf9fe3fba487bc91755e6662b4c8d0d1f5e22739530320a",
		icv:     "e0d731cc978ecafaeae88f00e80d6e48",
		payload: "4500003c99c300008001cb7c40679318010101010800085c020043006162636465666768696a6b6c6d6e6f7071727374757677616263646566676869"},
	{name: "page 11: 128 bits, ESN",
		keymat: "3de09874b388e6491988d0c3607eae1f 57690e43", iv: "4e280000a2fca1a3", aad: "42f67e3f 10101010 10101010",
		sealed:  "fba2ca845e5df9f0f22c3e6e86dd831e1fc65792cd1af9130e1379ed",
		icv:     "369f071f35e034be95f112e4e7d05d35",
		payload: "4500001c42a200008001441f406793b6e00000020a00f5ff"},
	{name: "page 11: 192 bits",
		keymat: "feffe9928665731c6d6a8f9467308308feffe9928665731c cafebabe", iv: "facedbaddecaf888", aad: "0000a5f8 0000000a",
		sealed:  "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77",
		icv:     "95457b9652037f5318027b5b4cd7a636",
		payload: "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d07568"},
	{name: "page 12: 128 bits, ESN",
		keymat: "abbccddef00112233445566778899aab decaf888", iv: "cafedebaceface74", aad: "00000100 00000000 00000001",
		sealed:  "18a6fd42f72cbf4ab2a2ea901f73d814e3e7f243d95412e1c349c1d2fbec168f9190feebaf2cb01984e65863965d7472b79da345e0e780191f0d2f0e0f496c226f2127b27db35724e7845d68",
		icv:     "651f57e65f354f75ff17015769623436",
		payload: "4500004933ba00007f119106c3fb1d10c2b1d326c02831ce0035dd7b800302d500004e20001e8c18d75b81dc91baa0476b91b924b280389d92c963bac046ec959b6266c04722b14923"},
	{name: "page 13: 256 bits, ESN",
		keymat: "abbccddef00112233445566778899aababbccddef00112233445566778899aab 73616c74", iv: "616e640169766563", aad: "17405e67 156f3126 dd0db99b",
		sealed:  "f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a3018d9a57ff4d3a31ce673119e",
		icv:     "451626c2415771e3b7eebca614c89b35",
		payload: "45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb71260250101f646d54"},
}

func TestRFC4106Packets(t *testing.T) {
	for _, v := range gcmPackets {
		t.Run(v.name, func(t *testing.T) {
			keymat, aad := unhex(v.keymat), unhex(v.aad)
			suite := Suite{AESGCM16, (len(keymat) - 4) * 8, NoAuth}
			keys, err := suite.SplitKeymat(keymat)
			if err != nil {
				t.Fatal(err)
			}
			c := Config{SPI: max(binary.BigEndian.Uint32(aad), 1), Suite: suite, Keys: keys, ESN: len(aad) == 12}
			in, err := NewInbound(c)
			if err != nil {
				t.Fatal(err)
			}
			seq := uint64(binary.BigEndian.Uint32(aad[4:8]))
			if c.ESN {
				seq = binary.BigEndian.Uint64(aad[4:12])
				in.window.top.Store(seq - 1) // an SA that has got so far
			}
			wire := bytes.Join([][]byte{aad[:4], aad[len(aad)-4:], unhex(v.iv), unhex(v.sealed), unhex(v.icv)}, nil)
			payload, next, err := in.Open(bytes.Clone(wire))
			if err != nil {
				t.Fatal(err)
			}
			if next != 1 || !bytes.Equal(payload, unhex(v.payload)) {
				t.Errorf("next header %d with %x, want 1 with %s", next, payload, v.payload)
			}
			if got := in.Stats().Top; got != seq {
				t.Errorf("sequence number %#x, want %#x", got, seq)
			}
		})
	}
}
