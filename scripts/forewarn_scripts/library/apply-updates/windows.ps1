# Install updates by Windows Update: show what would be done, and with --yes do it.
#   --which=security|all --reboot=never|if-required|in-window --window=HHMM-HHMM [--yes]
$ErrorActionPreference = 'Stop'

$which = ''
$reboot = 'never'
$window = '2200-0500'
$yes = $false
foreach ($word in $args) {
    if ($word -cmatch '\A--which=(security|all)\z') { $which = $Matches[1] }
    elseif ($word -cmatch '\A--reboot=(never|if-required|in-window)\z') { $reboot = $Matches[1] }
    elseif ($word -cmatch '\A--window=((?:[01][0-9]|2[0-3])[0-5][0-9]-(?:[01][0-9]|2[0-3])[0-5][0-9])\z') { $window = $Matches[1] }
    elseif ($word -ceq '--yes') { $yes = $true }
    else { Write-Output "not taken: $word; nothing was done"; exit 64 }
}
if ($which -eq '') { Write-Output 'not taken: --which must be given; nothing was done'; exit 64 }

# Categories by id: their names are in the language of the system.
$securityId = '0fa1201d-4330-4fa8-8ae9-b877473b6441'
$definitionsId = 'e0789628-ce08-4437-be74-2495b842f43b'
$inProgress = '80240016'  # another installation runs, or a restart is owed first

function Test-Security($update) {
    $ids = @($update.Categories | ForEach-Object { "$($_.CategoryID)".Trim('{}').ToLowerInvariant() })
    return "$($update.MsrcSeverity)" -ne '' -or $ids -contains $securityId -or $ids -contains $definitionsId
}

function Write-Trouble([string]$what, $record) {
    $inner = $record.Exception.GetBaseException()
    Write-Output ('{0}: 0x{1:X8} {2}' -f $what, $inner.HResult, $inner.Message)
}

function Get-MinutesToWindow([datetime]$now) {
    $begin = [int]$window.Substring(0, 2) * 60 + [int]$window.Substring(2, 2)
    $end = [int]$window.Substring(5, 2) * 60 + [int]$window.Substring(7, 2)
    $at = $now.Hour * 60 + $now.Minute
    if ((($at - $begin + 1440) % 1440) -lt (($end - $begin + 1440) % 1440)) { return 2 }
    return [Math]::Max(2, ($begin - $at + 1440) % 1440)
}

function Complete-Restart([bool]$needed) {
    if (-not $needed) { Write-Output 'no restart is needed'; exit 0 }
    if ($reboot -eq 'never' -or -not $yes) { Write-Output 'a restart is needed; none was ordered'; exit 0 }
    $minutes = 2  # time for this answer to leave
    if ($reboot -eq 'in-window') { $minutes = Get-MinutesToWindow (Get-Date) }
    $ErrorActionPreference = 'Continue'  # what it says on stderr would end the script under Stop
    $shutdown = [System.IO.Path]::Combine($env:SystemRoot, 'System32\shutdown.exe')
    & $shutdown /r /t ($minutes * 60) /c 'Restart for updates' /d 'p:2:17' 2>$null
    # 1190: one is ordered already.
    if ($LASTEXITCODE -ne 0 -and $LASTEXITCODE -ne 1190) {
        Write-Output "a restart is needed, and could not be ordered ($LASTEXITCODE)"
        exit 1
    }
    Write-Output "a restart is needed, and comes in $minutes minutes (shutdown /a stops it)"
    exit 0
}

try {
    $session = New-Object -ComObject Microsoft.Update.Session
    $session.ClientApplicationID = 'forewarn'
    $owed = (New-Object -ComObject Microsoft.Update.SystemInfo).RebootRequired
    # Hidden ones a person hid; those to browse for are optional.
    $found = $session.CreateUpdateSearcher().Search("IsInstalled=0 and IsHidden=0 and Type='Software'")
} catch {
    Write-Trouble 'Windows Update could not be asked' $_
    exit 1
}
if ($found.ResultCode -ne 2) {
    Write-Output "Windows Update's search ended with result $($found.ResultCode); nothing was done"
    exit 1
}

$chosen = New-Object -ComObject Microsoft.Update.UpdateColl
foreach ($update in $found.Updates) {
    if ($update.BrowseOnly) { continue }
    if ($which -eq 'security' -and -not (Test-Security $update)) { continue }
    if ($update.InstallationBehavior.CanRequestUserInput) {
        Write-Output "  left out, it asks questions: $($update.Title)"
        continue
    }
    [void]$chosen.Add($update)
}
if ($chosen.Count -eq 0) {
    Write-Output "no updates ($which) to install"
    Complete-Restart $owed
}
Write-Output "updates ($which): $($chosen.Count)"
foreach ($update in $chosen) { Write-Output "  $($update.Title)" }
if (-not $yes) {
    Write-Output 'looked up only; with --yes they are installed.  Nothing was changed'
    exit 0
}

try {
    foreach ($update in $chosen) { if (-not $update.EulaAccepted) { $update.AcceptEula() } }
    $downloader = $session.CreateUpdateDownloader()
    $downloader.Updates = $chosen
    $fetched = $downloader.Download()
    $ready = New-Object -ComObject Microsoft.Update.UpdateColl
    foreach ($update in $chosen) { if ($update.IsDownloaded) { [void]$ready.Add($update) } }
    if ($ready.Count -eq 0) {
        Write-Output "nothing could be downloaded (result $($fetched.ResultCode))"
        exit 1
    }
    $installer = $session.CreateUpdateInstaller()
    if ($installer.IsBusy) { Write-Output 'another installation runs; try again later'; exit 75 }
    $installer.ForceQuiet = $true
    $installer.Updates = $ready
    $result = $installer.Install()
} catch {
    if (('{0:X8}' -f $_.Exception.GetBaseException().HResult) -eq $inProgress) {
        Write-Output 'another installation runs, or a restart is owed first; try again later'
        exit 75
    }
    Write-Trouble 'the installation failed' $_
    exit 1
}

$installed = 0
for ($i = 0; $i -lt $ready.Count; $i++) {
    $one = $result.GetUpdateResult($i)
    if ($one.ResultCode -eq 2) { $installed += 1 }
    else { Write-Output ('  failed: {0}: 0x{1:X8}' -f $ready.Item($i).Title, $one.HResult) }
}
Write-Output "installed: $installed of $($chosen.Count)"
if ($installed -lt $chosen.Count) { exit 1 }
Complete-Restart ($owed -or $result.RebootRequired)
