package guide

import (
	"bytes"
	"encoding/json"
)

// onc is an Open Network Configuration with one L2TP/IPsec connection
// (Chromium, components/onc/docs/onc_spec.md).
func onc(v Values) []byte {
	type ipsec struct {
		AuthenticationType string
		IKEVersion         int
		PSK                string `json:",omitempty"`
		SaveCredentials    bool
	}
	type l2tp struct {
		Username        string
		SaveCredentials bool
	}
	type vpn struct {
		Type, Host string
		IPsec      ipsec
		L2TP       l2tp
	}
	type network struct {
		GUID, Name, Type string
		VPN              vpn
	}
	doc := struct {
		Type                  string
		NetworkConfigurations []network
	}{"UnencryptedConfiguration", []network{{GUID: "{" + uuid(v, "network") + "}", Name: v.Name, Type: "VPN",
		VPN: vpn{Type: "L2TP-IPsec", Host: v.Server, IPsec: ipsec{"PSK", 1, v.Key, v.Key != ""}, L2TP: l2tp{v.User, false}}}}}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil { // strings, numbers and booleans only
		panic(err)
	}
	return b.Bytes()
}
