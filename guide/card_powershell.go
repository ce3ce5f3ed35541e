package guide

import "strings"

// psQuote is a PowerShell string in single quotes: nothing in it is expanded.
// PowerShell takes the typographic single quotes for the plain one, so all of
// them are doubled (about_Quoting_Rules).
func psQuote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		if r == '\'' || r >= '\u2018' && r <= '\u201b' {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

// psComment is text for a comment line.
func psComment(s string) string { return "# " + s }

// powerShell is a script for Windows PowerShell 5.1 and later. It begins with
// a byte order mark, without which 5.1 reads it in the local code page, and has
// the line ends of the system.
func powerShell(v Values) string {
	l := []string{
		psComment("Sets up the L2TP/IPsec connection " + v.Name + " for " + v.User + "."),
		psComment("Run: powershell -ExecutionPolicy Bypass -File .\\THIS-FILE.ps1"),
		"$ErrorActionPreference = 'Stop'",
		"$name = " + psQuote(v.Name),
		"$server = " + psQuote(v.Server),
		"$user = " + psQuote(v.User),
	}
	if v.Key != "" {
		l = append(l, "$key = "+psQuote(v.Key))
	} else {
		l = append(l, "$key = Read-Host 'Pre-shared key'")
	}
	l = append(l,
		"Get-VpnConnection -Name $name -ErrorAction SilentlyContinue | Remove-VpnConnection -Force",
		"$options = @{",
		"    Name = $name; ServerAddress = $server; TunnelType = 'L2tp'; L2tpPsk = $key",
		"    AuthenticationMethod = 'MSChapv2'; EncryptionLevel = 'Required'",
		"    RememberCredential = $true; Force = $true",
		"}")
	if len(v.Routes) > 0 {
		l = append(l, "$options.SplitTunneling = $true")
	}
	l = append(l, "Add-VpnConnection @options")
	for _, r := range v.Routes {
		l = append(l, "Add-VpnConnectionRoute -ConnectionName $name -DestinationPrefix "+psQuote(r.String()))
	}
	l = append(l, "", psComment("A leftover of other VPN programs that makes L2TP go without IPsec."),
		`$ras = 'HKLM:\SYSTEM\CurrentControlSet\Services\RasMan\Parameters'`,
		"if ((Get-ItemProperty $ras -Name ProhibitIpSec -ErrorAction SilentlyContinue).ProhibitIpSec -eq 1) {",
		"    Write-Warning 'ProhibitIpSec is 1: as administrator, set it to 0 and restart Windows:'",
		`    Write-Host ('    reg add HKLM\SYSTEM\CurrentControlSet\Services\RasMan\Parameters /v ProhibitIpSec /t REG_DWORD /d 0 /f')`,
		"}")
	if v.BehindNAT {
		l = append(l, "", psComment("The server is behind a NAT. Where Windows sees that, it needs this setting, once a machine, and a restart."),
			`$agent = 'HKLM:\SYSTEM\CurrentControlSet\Services\PolicyAgent'`,
			"$rule = (Get-ItemProperty $agent -Name AssumeUDPEncapsulationContextOnSendRule -ErrorAction SilentlyContinue).AssumeUDPEncapsulationContextOnSendRule",
			"if ($rule -ne 2) {",
			"    $admin = ([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()).IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)",
			"    if ($admin) {",
			"        New-ItemProperty $agent -Name AssumeUDPEncapsulationContextOnSendRule -PropertyType DWord -Value 2 -Force | Out-Null",
			"        Write-Warning 'Windows is now ready for a server behind a NAT: restart it.'",
			"    } else {",
			"        Write-Warning 'If connecting shows error 809: run this script as administrator, then restart Windows.'",
			"    }",
			"}")
	}
	l = append(l, "", `Write-Host "Connect with: rasdial '$name' '$user' *   or from the network icon; the user name is $user"`, "")
	return "\ufeff" + strings.Join(l, "\r\n")
}
