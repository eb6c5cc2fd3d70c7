# Install, upgrade or remove the forewarn agent on this Windows host.  Needs an administrator,
# Windows 10 (1803) or Server 2019 or newer, 64 bits, and no Python: the agent brings its own.
#
#   fw1....                          install, enrol and start; again: upgrade
#   --string-file FILE             the same, with the string out of a file
#   (nothing)                      upgrade an enrolled host from its collector
#   --uninstall                    remove the agent with all it kept
#
# --packages FOLDER takes the program from a folder instead.  Nothing is ever asked.
# Exit codes: 1 could not be done; 2 wrong usage; 3 something is missing on this host; 4 the
# collector refused or was not reached; 5 installed, but the agent does not run well.
#
# Nothing here trusts the connection: the line that started this script names its hash, and this
# script names the hash of the program.

$ErrorActionPreference = 'Stop'
$Program = Join-Path $env:ProgramFiles 'forewarn'
$State = Join-Path $env:ProgramData 'forewarn'
$Agent = Join-Path $State 'agent'
$Service = 'HKLM:\SYSTEM\CurrentControlSet\Services\forewarn'
# SHA-256, size in bytes and name of the program; the collector writes them in.
$Offer = ''

function Say([string] $Text) { [Console]::Error.WriteLine('forewarn: ' + $Text) }

function Stop-With([string] $Text, [int] $Code) {
    $script:Code = $Code
    throw $Text
}

# -- what this host has ----------------------------------------------------------------------------

function Assert-Host {
    $me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        Stop-With 'run this in a PowerShell that was started as administrator' 3
    }
    if ($env:PROCESSOR_ARCHITECTURE -ne 'AMD64') {
        Stop-With 'only 64-bit Windows on x86 is supported; start the 64-bit PowerShell' 3
    }
}

# Where the program of the service lies now, '' when there is no service.
function Get-Installed {
    $line = (Get-ItemProperty -Path $Service -ErrorAction SilentlyContinue).ImagePath
    if ($line -match '^"(.+)\\forewarn-agent\.exe"') { return $Matches[1] }
    return ''
}

function Get-Hash([string] $Path) {
    return (Get-FileHash -Algorithm SHA256 -LiteralPath $Path).Hash.ToLowerInvariant()
}

# -- the program -----------------------------------------------------------------------------------

# Return the folder of the offered program, complete or not at all.
function Get-Release([string] $Url, [string] $Packages) {
    if ($Offer -match '^([0-9a-f]{64}) (\d{1,12}) (forewarn-agent-[0-9A-Za-z._+-]+\.zip)$') {
        $hash, $size, $name = $Matches[1], $Matches[2], $Matches[3]
    } else {
        Stop-With 'this collector offers no program for Windows; see forewarn-collector packages add' 4
    }
    $release = Join-Path $Program ('agent-' + $hash.Substring(0, 12))
    if (Test-Path -LiteralPath (Join-Path $release 'complete')) { return $release }
    # Below Program Files only administrators write, so nobody changes it between look and use.
    $null = New-Item -ItemType Directory -Force -Path $Program
    $box = Join-Path $Program ('fetched-' + [Guid]::NewGuid())
    $null = New-Item -ItemType Directory -Path $box
    try {
        $file = Join-Path $box $name
        if ($Packages) {
            Copy-Item -LiteralPath (Join-Path $Packages $name) -Destination $file
        } else {
            if (-not (Get-Command curl.exe -ErrorAction SilentlyContinue)) {
                Stop-With 'there is no curl.exe; fetch the program elsewhere and use --packages' 3
            }
            & curl.exe --fail --silent --show-error --insecure --max-filesize $size --output $file "$Url/packages/$name"
            if ($LASTEXITCODE -ne 0) { Stop-With "$Url cannot be reached, or does not offer $name" 4 }
        }
        if ((Get-Hash $file) -ne $hash) { Stop-With "$name is not what it should be; nothing was installed" 4 }
        Add-Type -AssemblyName System.IO.Compression.FileSystem
        $made = Join-Path $box 'made'
        [IO.Compression.ZipFile]::ExtractToDirectory($file, $made)
        if (Test-Path -LiteralPath $release) { Remove-Item -Recurse -Force -LiteralPath $release }
        Move-Item -LiteralPath $made -Destination $release
        Set-Content -LiteralPath (Join-Path $release 'complete') -Value $Offer
    } finally {
        Remove-Item -Recurse -Force -LiteralPath $box
    }
    return $release
}

# Run the program of a release; its words go to the console, its exit code comes back.
function Invoke-Agent([string] $Release, [string[]] $Words, [string] $Given) {
    $ErrorActionPreference = 'Continue' # what it says on stderr is no error of ours
    $exe = Join-Path $Release 'forewarn-agent.exe'
    if ($Given) {
        $Given | & $exe @Words | Out-Host
    } else {
        & $exe @Words | Out-Host
    }
    return $LASTEXITCODE
}

# Make a release the one that runs; true when its service says that it samples.
function Use-Release([string] $Release) {
    $now = Get-Installed
    if ($now) { $null = Invoke-Agent $now @('service', 'stop') '' }
    if ((Invoke-Agent $Release @('service', 'install') '') -ne 0) { return $false }
    $short = '@"%~dp0' + (Split-Path -Leaf $Release) + '\forewarn-agent.exe" %*'
    Set-Content -LiteralPath (Join-Path $Program 'forewarn-agent.cmd') -Value $short
    return (Invoke-Agent $Release @('service', 'start') '') -eq 0
}

# Has the running agent said something of itself, and did a batch go through?
function Test-RunsWell([string] $Release) {
    $ErrorActionPreference = 'Continue'
    $exe = Join-Path $Release 'forewarn-agent.exe'
    for ($tries = 0; $tries -lt 40; $tries++) {
        $told = (& $exe status --json | Out-String)
        if ($told -match '"received_at": "2') { return $true }
        Start-Sleep -Seconds 1
    }
    return $false
}

# -- words -----------------------------------------------------------------------------------------

function Install-Agent([string] $String, [string] $Packages) {
    $enrolled = Test-Path -LiteralPath (Join-Path $Agent 'identity.json')
    $url = ''
    if ($String) {
        # Read from the right: only the address holds dots.
        if ($String -notmatch '^fw1\.(.+)\.[^.]+\.[^.]+$') { Stop-With 'the string was cut; copy it whole' 2 }
        $url = $Matches[1]
    } elseif ($enrolled) {
        $url = (Get-Content -Raw -LiteralPath (Join-Path $Agent 'identity.json') | ConvertFrom-Json).url
    } else {
        Stop-With 'give the string that the collector''s token create printed: fw1....' 2
    }
    $before = Get-Installed
    $release = Get-Release $url $Packages
    if ($enrolled) {
        if ($String) { Say 'this host is enrolled already; its identity stays' }
    } else {
        # The service first: it closes the folder before there is a key in it.
        if ((Invoke-Agent $release @('service', 'install') '') -ne 0) { Stop-With 'the service could not be made' 1 }
        if ((Invoke-Agent $release @('enrol', '-') $String) -ne 0) {
            if (-not $before) { Remove-All }
            Stop-With 'this host could not be enrolled' 4
        }
    }
    $runs = (Get-Service -Name forewarn -ErrorAction SilentlyContinue).Status -eq 'Running'
    if ($before -eq $release -and $runs) {
        Say 'the agent is at this release already and runs'
        return
    }
    if ((Use-Release $release) -and (Test-RunsWell $release)) {
        Remove-OtherReleases $release
        Say 'the agent runs, and the collector has its first samples'
    } elseif ($before -and $before -ne $release -and (Test-Path -LiteralPath (Join-Path $before 'complete'))) {
        Say 'the new release does not run well; going back to the one before'
        $null = Use-Release $before
        Remove-OtherReleases $before
        Stop-With 'the release before runs again' 5
    } else {
        Stop-With "installed, but the agent does not run well; see $Agent\log\agent.log" 5
    }
}

function Remove-OtherReleases([string] $Keep) {
    Get-ChildItem -LiteralPath $Program -Directory -Filter 'agent-*' |
        Where-Object { $_.FullName -ne $Keep } |
        Remove-Item -Recurse -Force
}

function Remove-All {
    $now = Get-Installed
    if ($now) { $null = Invoke-Agent $now @('service', 'uninstall') '' }
    if (Get-Service -Name forewarn -ErrorAction SilentlyContinue) { # the program is damaged
        & sc.exe stop forewarn | Out-Null
        & sc.exe delete forewarn | Out-Null
    }
    # Windows lets go of a program a moment after it has ended.
    for ($tries = 0; $tries -lt 20; $tries++) {
        try {
            foreach ($folder in @($Program, $State)) {
                if (Test-Path -LiteralPath $folder) { Remove-Item -Recurse -Force -LiteralPath $folder }
            }
            return
        } catch {
            Start-Sleep -Milliseconds 500
        }
    }
    Stop-With "$Program or $State could not be removed: something in it is in use" 1
}

function Main([string[]] $Words) {
    $string, $packages, $uninstall = '', '', $false
    for ($at = 0; $at -lt $Words.Count; $at++) {
        $word = $Words[$at]
        if ($word -clike 'fw1.*') {
            $string = $word
        } elseif ($word -eq '--string-file' -and $at + 1 -lt $Words.Count) {
            $at++
            $string = (Get-Content -TotalCount 1 -LiteralPath $Words[$at]).Trim()
        } elseif ($word -eq '--packages' -and $at + 1 -lt $Words.Count) {
            $at++
            $packages = $Words[$at]
        } elseif ($word -eq '--uninstall') {
            $uninstall = $true
        } else {
            Stop-With "what does '$word' mean?  A string begins with fw1. ; else --uninstall" 2
        }
    }
    Assert-Host
    if ($uninstall) {
        Remove-All
        Say 'the agent is gone, with its identity and all it kept'
        return
    }
    Install-Agent $string $packages
}

$script:Code = 1
try {
    Main $args
    $script:Code = 0
} catch {
    Say $_.Exception.Message
}
# Run out of a file, its exit code is ours; pasted into somebody's window, that must stay open.
if ($MyInvocation.MyCommand.Path) { exit $script:Code }
$global:LASTEXITCODE = $script:Code
