"""The throughput of `wgr serve` with many clients of one text each, beside that of `wgr score` on the same texts.

    python3 benches/serve.py --wgr target/release/wgr --model my-reward-model --texts 2000 --words 60

Prints a table in Markdown: texts a second, their share of `wgr score`, the median and 99th percentile of the time of a
request, the mean time of a batch on the device, and the memory of the server before and after. Needs Python 3.9 or newer and nothing else. With `--peer PYTHON`
the server of `benches/serve_transformers.py` gets the same load, run by a Python that has its packages.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path


def texts(count, words, seed):
    """Texts of different lengths, `words` words on average."""
    draw = random.Random(seed)
    vocabulary = "the of and to in that it with as for was on are by this be from or have an they which one you".split()
    return [" ".join(draw.choices(vocabulary, k=draw.randint(words // 2, words * 3 // 2))) for _ in range(count)]


def score(wgr, model, rows):
    """Seconds that `wgr score` takes for its batches, without loading, and the scores."""
    with tempfile.TemporaryDirectory() as folder:
        given, written = Path(folder, "rows.jsonl"), Path(folder, "scores.jsonl")
        given.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
        command = [wgr, "score", "--quiet", "--json", "--model", model, "--input", given, "--output", written]
        summary = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        scores = [json.loads(line)["score"] for line in written.read_text().splitlines()]
    return summary["tokens"] / summary["tokens_per_second"], scores


async def ask(reader, writer, text):
    """The reward of a text over a connection that stays open."""
    body = json.dumps({"query": [text]}).encode()
    head = f"POST /get_reward HTTP/1.1\r\nhost: wgr\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    answer = json.loads(await reader.readexactly(length))
    return answer["rewards"][0]


async def load(port, rows, expected, clients, tolerance):
    """Seconds for all texts, and for each request."""
    waiting = list(enumerate(rows))[::-1]
    times = []

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            place, text = waiting.pop()
            started = time.perf_counter()
            reward = await ask(reader, writer, text)
            times.append(time.perf_counter() - started)
            difference = abs(reward - expected[place])
            assert difference <= tolerance, f"text {place}: {reward} instead of {expected[place]}"
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return time.perf_counter() - started, times


def device_time(port):
    """Seconds of all batches on the device and their number, or nothing where the server does not tell."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
            lines = dict(line.rsplit(" ", 1) for line in reply.read().decode().splitlines())
    except urllib.error.HTTPError:
        return None
    return float(lines["wgr_device_seconds_sum"]), float(lines["wgr_device_seconds_count"])


def memory(pid):
    """Resident MiB of a process, where the system tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wgr", default="target/release/wgr")
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--peer", metavar="PYTHON")
    given = parser.parse_args()
    rows = texts(given.texts, given.words, seed=1)
    offline, expected = score(given.wgr, given.model, rows)
    print("| | clients | texts/s | of `wgr score` | median | 99th percentile | a batch | memory |")
    print("|---|---|---|---|---|---|---|---|")
    print(f"| `wgr score` | | {len(rows) / offline:.1f} | 100 % | | | | |", flush=True)
    servers = [("`wgr serve`", [given.wgr, "serve", "--port", "0", "--model", given.model], 0)]
    if given.peer:
        program = Path(__file__).with_name("serve_transformers.py")
        servers.append(("FastAPI and `transformers`", [given.peer, program, given.model], 1e-4))
    for name, command, tolerance in servers:
        serve(name, command, tolerance, given.clients, rows, expected, offline)


def serve(name, command, tolerance, counts, rows, expected, offline):
    """Starts a server and puts load on it, with each number of clients."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            listening = next(line for line in server.stderr if line.startswith("listening on"))
            port = int(listening.rsplit(":", 1)[1])
            for clients in counts:
                before, busy = memory(server.pid), device_time(port)
                seconds, times = asyncio.run(load(port, rows, expected, clients, tolerance))
                centiles = statistics.quantiles(times, n=100)
                batch = ""
                if busy:
                    total, batches = (after - before for after, before in zip(device_time(port), busy))
                    batch = f"{1000 * total / batches:.1f} ms"
                print(
                    f"| {name} | {clients} | {len(rows) / seconds:.1f} | {100 * offline / seconds:.0f} % "
                    f"| {1000 * centiles[49]:.1f} ms | {1000 * centiles[98]:.1f} ms | {batch} "
                    f"| {before:.0f} MiB, {memory(server.pid):.0f} MiB |",
                    flush=True,
                )
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
