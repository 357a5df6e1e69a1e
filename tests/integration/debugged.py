"""A script of 200 calls, three of which fail: the story of `docs/debugging.md`."""

SCRIPT = """\
import lithops
import pricing


def quote(item):
    price = pricing.of(item)
    print("item", item, "costs", price)
    return 100 / price


if __name__ == "__main__":
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(quote, range(200))
    fexec.wait(futures, throw_except=False)
    failed = [future for future in futures if future.error]
    print(len(failed), "failed of job", futures[0].job_key)
"""
PRICING = """\
def of(item):
    return 0 if item in (17, 63, 150) else item + 1
"""
