# Have drives test themselves, by smartctl.  A test that runs already is left alone.
#   --drive=all|/dev/NAME --test=short|long [--wait]
$ErrorActionPreference = 'Stop'

$drive = ''
$test = 'short'
$wait = $false
foreach ($word in $args) {
    if ($word -cmatch '\A--drive=(all|/dev/[a-z0-9]{2,20}(/[a-z0-9]{1,20})?)\z') { $drive = $Matches[1] }
    elseif ($word -cmatch '\A--test=(short|long)\z') { $test = $Matches[1] }
    elseif ($word -ceq '--wait') { $wait = $true }
    else { Write-Output "not taken: $word; nothing was done"; exit 64 }
}
if ($drive -eq '') { Write-Output 'not taken: --drive must be given; nothing was done'; exit 64 }

$smartctl = [System.IO.Path]::Combine($env:ProgramFiles, 'smartmontools\bin\smartctl.exe')
if (-not [System.IO.File]::Exists($smartctl)) {
    Write-Output "there is no $smartctl; install smartmontools"
    exit 69
}

function Invoke-Smart([string[]]$words) {
    # What it says on stderr would end the script under Stop.
    $ErrorActionPreference = 'Continue'
    return @(& $smartctl $words 2>&1 | ForEach-Object { "$_" })
}

function Test-Running([string[]]$words) {
    $said = (Invoke-Smart (@('-c', '-l', 'selftest') + $words)) -join "`n"
    return $said -match 'in progress \(|[0-9]+% of test remaining|self-test in progress'
}

$drives = @(Invoke-Smart @('--scan-open') | Where-Object { $_ -like '/dev/*' } |
    ForEach-Object { ($_ -replace '\s*#.*\z', '') } |
    Where-Object { $drive -eq 'all' -or ($_ -split ' ')[0] -ceq $drive })
if ($drives.Count -eq 0) {
    Write-Output "smartctl finds no such drive here ($drive); nothing was done"
    exit 66
}

$begun = @()
$failed = 0
foreach ($row in $drives) {
    $words = @($row -split ' ')
    if (Test-Running $words) {
        Write-Output "$($words[0]): a test runs already; it is left alone"
        $begun += ,$words
        continue
    }
    $said = @(Invoke-Smart (@('-t', $test) + $words))
    if (($said -join "`n") -match 'has begun|successfully started') {
        Write-Output "$($words[0]): $test test begun"
        $begun += ,$words
    } else {
        $last = $said | Where-Object { $_ -ne '' } | Select-Object -Last 1
        Write-Output "$($words[0]): no test begun: $last"
        $failed += 1
    }
}
if ($begun.Count -eq 0) { Write-Output 'no drive here began a test'; exit 1 }
if (-not $wait) { exit 0 }

$until = (Get-Date).AddMinutes(8)
foreach ($words in $begun) {
    while ((Test-Running $words) -and (Get-Date) -lt $until) { Start-Sleep -Seconds 10 }
    if (Test-Running $words) { Write-Output "$($words[0]): not done yet; look again later"; continue }
    $newest = Invoke-Smart (@('-l', 'selftest') + $words) | Where-Object { $_ -match '\A *(# *1|0) ' } | Select-Object -First 1
    Write-Output "$($words[0]): $newest"
    if ($newest -match 'ailure|ailed') { $failed += 1 }
}
if ($failed -gt 0) { exit 1 }
exit 0
