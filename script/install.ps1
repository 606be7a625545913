# Set up .venv in the repository root, from any directory and whatever environment is active:
#
#     powershell -ExecutionPolicy Bypass -File script/install.ps1
#     Get-Content -Raw script\install.ps1 | Invoke-Expression   (where a policy forbids files)
#
# This is a door: it finds uv, or gets it, and hands over to install.py, which does the rest.
# install.sh is the door for bash.

& { # a scope of its own, around all that follows: nothing of it stays in the session
    Set-StrictMode -Version 3.0
    # In Windows PowerShell a program's line on stderr is an error.
    $ErrorActionPreference = 'Continue'
    $Pythons = '>=3.11,<3.16' # as in install.py

    # Caught below, where the run ends: exit would close the window of an Invoke-Expression.
    function Err([string] $Message) { throw (New-Object OperationCanceledException $Message) }
    # Unlike Join-Path it does not fail on a drive that is not there.
    function Join-Parts([string[]] $Parts) { return [IO.Path]::Combine($Parts) }

    # The repository is where this file lies, or where a link to it leads, or the current folder.
    function Find-Root {
        $root = (Get-Location -PSProvider FileSystem).ProviderPath
        if ($PSCommandPath) {
            $file = Get-Item -LiteralPath $PSCommandPath -Force
            while ($file.LinkType -eq 'SymbolicLink') {
                $target = [IO.Path]::Combine($file.DirectoryName, @($file.Target)[0])
                $file = Get-Item -LiteralPath ([IO.Path]::GetFullPath($target)) -Force
            }
            $root = Split-Path $file.DirectoryName
        }
        if (-not (Test-Path -LiteralPath (Join-Parts $root, 'script', 'install.py'))) {
            Err ('this is not run from script\ of the repository. There, run: ' +
                'powershell -ExecutionPolicy Bypass -File script/install.ps1')
        }
        return $root
    }

    # Whether a program starts, and what it prints holds a text.
    function Test-Output([string] $Program, [string[]] $Words, [string] $Text) {
        try { $output = & $Program @Words 2>$null | Out-String } catch { return $false }
        return $LASTEXITCODE -eq 0 -and $output.Contains($Text)
    }

    # A uv that starts and can choose a torch build: on PATH, where Astral's installer puts it, or
    # where an earlier run kept it. One in .venv\Scripts does not count: a rebuild would remove it.
    function Find-Uv([string] $Root) {
        $onPath = Get-Command uv.exe -CommandType Application -All -ErrorAction Ignore
        $candidates = @($onPath | ForEach-Object { $_.Source })
        if ($env:UV_INSTALL_DIR) { $candidates += Join-Parts $env:UV_INSTALL_DIR, 'uv.exe' }
        $candidates += Join-Parts $HOME, '.local', 'bin', 'uv.exe'
        $candidates += Join-Parts $Root, '.venv', 'uv', 'bin', 'uv.exe'
        $candidates += Join-Parts $Root, '.venv', 'uv', 'Scripts', 'uv.exe'
        $inVenv = (Join-Parts $Root, '.venv', 'Scripts') + [IO.Path]::DirectorySeparatorChar
        foreach ($uv in $candidates) {
            if ($uv.StartsWith($inVenv, 'OrdinalIgnoreCase')) { continue }
            if (Test-Output $uv ('pip', 'install', '--help') '--torch-backend') { return $uv }
        }
    }

    # Fetch Astral's installer whole, then run it, in a process of its own: it may call exit.
    function Install-UvFromAstral {
        $file = Join-Path ([IO.Path]::GetTempPath()) "uv-installer-$PID.ps1"
        $proxy = @{} # Windows PowerShell does not look at the variable
        if ($env:HTTPS_PROXY) { $proxy.Proxy = $env:HTTPS_PROXY -replace '^(?!.*://)', 'http://' }
        try {
            [Net.ServicePointManager]::SecurityProtocol =
                [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
            $url = 'https://astral.sh/uv/install.ps1'
            Invoke-RestMethod -UseBasicParsing -TimeoutSec 30 @proxy $url |
                Set-Content -LiteralPath $file -Encoding UTF8
        } catch { return }
        $powershell = Get-ChildItem (Join-Path $PSHOME '*') -Include powershell.exe, pwsh.exe, pwsh
        & $powershell -NoProfile -ExecutionPolicy Bypass -File $file | Out-Host
        Remove-Item -LiteralPath $file -Force
    }

    # Let install.py put uv into .venv\uv, with any Python that has pip.
    function Install-UvFromIndex([string] $Root) {
        foreach ($python in 'python', 'python3', 'py') {
            $code = 'import sys, pip; print(sys.version_info >= (3, 8))'
            if (-not (Test-Output $python ('-c', $code) 'True')) { continue }
            & $python -I (Join-Parts $Root, 'script', 'install.py') get-uv | Out-Host
            if ($LASTEXITCODE -ne 0) { Err 'uv could not be fetched. The lines above say why.' }
            return
        }
        Err ("there is no uv, and neither Astral's installer nor pip could get it. Install uv " +
            '(https://docs.astral.sh/uv) or Python 3.11 or later with pip, then run again.')
    }

    function Get-Uv([string] $Root) {
        $uv = Find-Uv $Root
        if ($uv) { Write-Host "uv: found, $uv"; return $uv }
        Write-Host "uv: not found, running Astral's installer"
        Install-UvFromAstral
        $uv = Find-Uv $Root
        if (-not $uv) {
            Write-Host ("uv: Astral's installer cannot be had here, getting uv from the Python " +
                'package index')
            Install-UvFromIndex $Root
            $uv = Find-Uv $Root
            if (-not $uv) {
                Err ('the uv from the index does not start here, or cannot choose a torch build. ' +
                    'Install uv (https://docs.astral.sh/uv), then run again.')
            }
        }
        Write-Host "uv: installed, $uv"
        return $uv
    }

    $status = 1
    try {
        if ($args) {
            Write-Host ('usage: powershell -File script\install.ps1 ' +
                '(it takes no options, and sets up .venv)')
            $status = 2
            if ("$args" -in '--help', '-h', '-help') { $status = 0 }
        } else {
            if ($PSVersionTable.PSVersion.Major -ge 6 -and -not $IsWindows) {
                Err 'this is not Windows. Run: bash script/install.sh'
            }
            $root = Find-Root
            $program = Join-Parts $root, 'script', 'install.py'
            $uv = Get-Uv $root
            $python, $shell = $Pythons, 'powershell'
            if ($env:UV_PYTHON) { $python = $env:UV_PYTHON }
            if ($env:LECTURE_SHELL) { $shell = $env:LECTURE_SHELL } # set by install.sh, in Git Bash
            # What keeps other environments, projects and variables out: see install.sh.
            & $uv run --quiet --no-cache --no-project --isolated --project / --directory . `
                --no-env-file --python $python python -I $program $shell
            $status = $LASTEXITCODE
            if ($status -eq 2) { # it is not of install.py, but of uv
                Err ("uv could not start a Python $python. Install one, or check the network or " +
                    'proxy (HTTPS_PROXY), then run again.')
            }
        }
    } catch {
        $Host.UI.WriteErrorLine("error: $($_.Exception.Message)") # in ISE, too
        $status = 1
    }
    $global:LASTEXITCODE = $status
    if ($PSCommandPath) { exit $status }
} @args
