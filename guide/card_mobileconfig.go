package guide

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// xmlText escapes character data of a property list.
var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")

// plist writes an XML property list, one element a line.
type plist struct {
	b     strings.Builder
	depth int
}

func (p *plist) line(s string) { fmt.Fprintf(&p.b, "%s%s\n", strings.Repeat("\t", p.depth), s) }

func (p *plist) open(key, element string) {
	if key != "" {
		p.line("<key>" + key + "</key>")
	}
	p.line("<" + element + ">")
	p.depth++
}

func (p *plist) end(element string) {
	p.depth--
	p.line("</" + element + ">")
}

func (p *plist) text(key, value string) {
	p.line("<key>" + key + "</key>")
	p.line("<string>" + xmlText.Replace(value) + "</string>")
}

func (p *plist) number(key string, n int) {
	p.line("<key>" + key + "</key>")
	p.line(fmt.Sprintf("<integer>%d</integer>", n))
}

// mobileConfig is a configuration profile with one VPN payload
// (com.apple.vpn.managed, VPNType L2TP). The same connection has the same
// identifiers, so a profile that is installed again replaces the one before.
func mobileConfig(v Values) string {
	inner, outer := strings.ToUpper(uuid(v, "payload")), strings.ToUpper(uuid(v, "profile"))
	p := &plist{}
	p.line(`<?xml version="1.0" encoding="UTF-8"?>`)
	p.line(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">`)
	p.line(`<plist version="1.0">`)
	p.open("", "dict")
	p.open("PayloadContent", "array")
	p.open("", "dict")
	p.open("IPSec", "dict")
	p.text("AuthenticationMethod", "SharedSecret")
	p.text("LocalIdentifierType", "KeyID")
	if v.Key != "" {
		p.line("<key>SharedSecret</key>")
		p.line("<data>" + base64.StdEncoding.EncodeToString([]byte(v.Key)) + "</data>")
	}
	p.end("dict")
	p.open("IPv4", "dict")
	all := 0
	if len(v.Routes) == 0 {
		all = 1
	}
	p.number("OverridePrimary", all)
	p.end("dict")
	p.open("PPP", "dict")
	p.text("AuthName", v.User)
	p.text("CommRemoteAddress", v.Server)
	p.end("dict")
	p.text("PayloadDescription", "L2TP over IPsec to "+v.Server)
	p.text("PayloadDisplayName", v.Name)
	p.text("PayloadIdentifier", "vhub."+outer+".vpn."+inner)
	p.text("PayloadType", "com.apple.vpn.managed")
	p.text("PayloadUUID", inner)
	p.number("PayloadVersion", 1)
	p.text("UserDefinedName", v.Name)
	p.text("VPNType", "L2TP")
	p.end("dict")
	p.end("array")
	p.text("PayloadDisplayName", v.Name)
	p.text("PayloadIdentifier", "vhub."+outer)
	p.text("PayloadType", "Configuration")
	p.text("PayloadUUID", outer)
	p.number("PayloadVersion", 1)
	p.end("dict")
	p.line("</plist>")
	return p.b.String()
}
