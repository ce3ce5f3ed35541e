# Sets up the L2TP/IPsec connection vhub road for alice.
# Run: powershell -ExecutionPolicy Bypass -File .\THIS-FILE.ps1
$ErrorActionPreference = 'Stop'
$name = 'vhub road'
$server = '203.0.113.5'
$user = 'alice'
$key = Read-Host 'Pre-shared key'
Get-VpnConnection -Name $name -ErrorAction SilentlyContinue | Remove-VpnConnection -Force
$options = @{
    Name = $name; ServerAddress = $server; TunnelType = 'L2tp'; L2tpPsk = $key
    AuthenticationMethod = 'MSChapv2'; EncryptionLevel = 'Required'
    RememberCredential = $true; Force = $true
}
Add-VpnConnection @options

# A leftover of other VPN programs that makes L2TP go without IPsec.
$ras = 'HKLM:\SYSTEM\CurrentControlSet\Services\RasMan\Parameters'
if ((Get-ItemProperty $ras -Name ProhibitIpSec -ErrorAction SilentlyContinue).ProhibitIpSec -eq 1) {
    Write-Warning 'ProhibitIpSec is 1: as administrator, set it to 0 and restart Windows:'
    Write-Host ('    reg add HKLM\SYSTEM\CurrentControlSet\Services\RasMan\Parameters /v ProhibitIpSec /t REG_DWORD /d 0 /f')
}

Write-Host "Connect with: rasdial '$name' '$user' *   or from the network icon; the user name is $user"
