# Sets up the L2TP/IPsec connection B&B <"Büro"> $x 'y' ’z for home\o'neil;rm -rf.
# Run: powershell -ExecutionPolicy Bypass -File .\THIS-FILE.ps1
$ErrorActionPreference = 'Stop'
$name = 'B&B <"Büro"> $x ''y'' ’’z'
$server = 'vpn.example.net'
$user = 'home\o''neil;rm -rf'
$key = ' p"a''s’’s<&>\s;$(x)`é '
Get-VpnConnection -Name $name -ErrorAction SilentlyContinue | Remove-VpnConnection -Force
$options = @{
    Name = $name; ServerAddress = $server; TunnelType = 'L2tp'; L2tpPsk = $key
    AuthenticationMethod = 'MSChapv2'; EncryptionLevel = 'Required'
    RememberCredential = $true; Force = $true
}
$options.SplitTunneling = $true
Add-VpnConnection @options
Add-VpnConnectionRoute -ConnectionName $name -DestinationPrefix '172.16.0.0/24'
Add-VpnConnectionRoute -ConnectionName $name -DestinationPrefix '2001:db8:7::/64'

# A leftover of other VPN programs that makes L2TP go without IPsec.
$ras = 'HKLM:\SYSTEM\CurrentControlSet\Services\RasMan\Parameters'
if ((Get-ItemProperty $ras -Name ProhibitIpSec -ErrorAction SilentlyContinue).ProhibitIpSec -eq 1) {
    Write-Warning 'ProhibitIpSec is 1: as administrator, set it to 0 and restart Windows:'
    Write-Host ('    reg add HKLM\SYSTEM\CurrentControlSet\Services\RasMan\Parameters /v ProhibitIpSec /t REG_DWORD /d 0 /f')
}

# The server is behind a NAT. Where Windows sees that, it needs this setting, once a machine, and a restart.
$agent = 'HKLM:\SYSTEM\CurrentControlSet\Services\PolicyAgent'
$rule = (Get-ItemProperty $agent -Name AssumeUDPEncapsulationContextOnSendRule -ErrorAction SilentlyContinue).AssumeUDPEncapsulationContextOnSendRule
if ($rule -ne 2) {
    $admin = ([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()).IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
    if ($admin) {
        New-ItemProperty $agent -Name AssumeUDPEncapsulationContextOnSendRule -PropertyType DWord -Value 2 -Force | Out-Null
        Write-Warning 'Windows is now ready for a server behind a NAT: restart it.'
    } else {
        Write-Warning 'If connecting shows error 809: run this script as administrator, then restart Windows.'
    }
}

Write-Host "Connect with: rasdial '$name' '$user' *   or from the network icon; the user name is $user"
