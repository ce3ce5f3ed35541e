package ike

import (
	"slices"

	"vhub/ipsec/esp"
)

// DefaultESP are the phase 2 suites in our order of preference. SHA-1 stands before
// SHA-256 among the CBC suites only for peers that cannot do GCM: old Androids
// cut SHA-256 to 96 bits instead of 128, and both cost the same. The list is the same
// for all, and not to be written to.
func DefaultESP(legacy bool) []esp.Suite {
	if legacy {
		return legacyESP
	}
	return goodESP
}

var goodESP, legacyESP = makeESP(false), makeESP(true)

func makeESP(legacy bool) []esp.Suite {
	list := []esp.Suite{
		{Cipher: esp.AESGCM16, KeyBits: 128}, {Cipher: esp.AESGCM16, KeyBits: 256}, {Cipher: esp.AESGCM16, KeyBits: 192},
	}
	for _, auth := range []esp.Auth{esp.HMACSHA1, esp.HMACSHA256, esp.HMACSHA384, esp.HMACSHA512} {
		for _, bits := range []int{256, 128, 192} {
			list = append(list, esp.Suite{Cipher: esp.AESCBC, KeyBits: bits, Auth: auth})
		}
	}
	if legacy {
		for _, bits := range []int{256, 128, 192} {
			list = append(list, esp.Suite{Cipher: esp.AESCBC, KeyBits: bits, Auth: esp.HMACMD5})
		}
		for _, auth := range []esp.Auth{esp.HMACSHA1, esp.HMACSHA256, esp.HMACSHA384, esp.HMACSHA512, esp.HMACMD5} {
			list = append(list, esp.Suite{Cipher: esp.TripleDES, Auth: auth})
		}
	}
	return slices.Clip(list)
}

// offerESP shortens DefaultESP to what is worth offering.
func offerESP(legacy bool) []esp.Suite {
	list := []esp.Suite{
		{Cipher: esp.AESGCM16, KeyBits: 128}, {Cipher: esp.AESGCM16, KeyBits: 256},
		{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACSHA256}, {Cipher: esp.AESCBC, KeyBits: 128, Auth: esp.HMACSHA256},
		{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACSHA1}, {Cipher: esp.AESCBC, KeyBits: 128, Auth: esp.HMACSHA1},
	}
	if legacy {
		list = append(list, esp.Suite{Cipher: esp.AESCBC, KeyBits: 256, Auth: esp.HMACMD5},
			esp.Suite{Cipher: esp.TripleDES, Auth: esp.HMACSHA1}, esp.Suite{Cipher: esp.TripleDES, Auth: esp.HMACMD5})
	}
	return list
}
