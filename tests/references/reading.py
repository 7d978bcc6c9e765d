"""What literal rewards read in a text, with plain string operations."""

import json
import math


def between(text, opening, closing):
    """What stands between every opening tag and the next closing one."""
    found = []
    while opening in text:
        text = text.split(opening, 1)[1]
        if closing not in text:
            break
        inside, text = text.split(closing, 1)
        found.append(inside)
    return found


def boxed(text):
    """The contents of the outermost boxes, None for one that never closes."""
    found, opening = [], "\\boxed{"
    while opening in text:
        text, depth, inside, skip = text.split(opening, 1)[1], 1, "", False
        for letter in text:
            depth += 0 if skip else (letter == "{") - (letter == "}")
            skip = letter == "\\" and not skip
            if depth == 0:
                break
            inside += letter
        found.append(inside if depth == 0 else None)
        text = text[len(inside) :]
    return found


def given(attempt, read):
    """The answer, stripped; None for none or an empty one."""
    if read == "canonical":
        places = [attempt.answer]
    elif read == "text":
        places = [attempt.text]
    elif read == "boxed":
        places = boxed(attempt.text)
    else:
        places = between(attempt.text, f"<{read}>", f"</{read}>")
    last = places[-1] if places else None
    return (last or "").strip() or None


def accepted(group, gold):
    value = group.data[gold]
    return [str(item).strip() for item in (value if isinstance(value, list) else [value])]


def thinks_then_answers(text):
    """Think block, optional white space, answer block, and nothing else."""
    if not text.startswith("<think>") or not text.endswith("</answer>"):
        return False
    pieces = text.removeprefix("<think>").removesuffix("</answer>").split("</think>")
    return any(piece.lstrip().startswith("<answer>") for piece in pieces[1:])


def hits(written, numbers, target):
    """Whether a sum of decimal numbers in brackets uses exactly these and is worth the target."""
    used, value, rest = add(written.replace(" ", ""))
    complete = value is not None and rest == "" and sorted(used) == sorted(numbers)
    return float(complete and abs(value - target) <= 1e-5)


def chained(text, inner, signs):
    """`inner sign inner sign ...` from the left: numbers used, value or None, what is left."""
    used, value, text = inner(text)
    while value is not None and text[:1] in signs and text:
        sign = text[0]
        more, right, text = inner(text[1:])
        used = used + more
        if right is None or (sign == "/" and right == 0):
            return used, None, text
        value = worked(sign, value, right)
    return used, value, text


def worked(sign, left, right):
    if sign in "+-":
        return left + right if sign == "+" else left - right
    return left * right if sign == "*" else left / right


def add(text):
    return chained(text, multiply, "+-")


def multiply(text):
    return chained(text, atom, "*/")


def atom(text):
    if text.startswith("("):
        used, value, rest = add(text[1:])
        return (used, value, rest[1:]) if rest.startswith(")") else (used, None, rest)
    digits = text[: len(text) - len(text.lstrip("0123456789."))]
    if not digits:
        return [], None, text
    return [float(digits)], float(digits), text[len(digits) :]


def bleu_1(words, golds):
    best = 0.0
    for gold in (text.split() for text in golds) if words else ():
        clipped = sum(min(words.count(word), gold.count(word)) for word in set(words))
        brevity = math.exp(min(0.0, 1 - len(gold) / len(words)))
        best = max(best, clipped / len(words) * brevity)
    return best


def think_tags(text):
    rest, found = text, 0
    for tag in ("<think>", "</think>", "<rethink>", "</rethink>"):
        if tag in rest:
            rest, found = rest.split(tag, 1)[1], found + 1
    thought = text.partition("<think>")[2].split("</think>")[0]
    return 0.1 * found + (0.1 if found == 4 and len(thought.split()) >= 2 else 0.0)


def evidence(text, lines, count):
    if "<rethink>" not in text:
        return 0.0
    quoted = set(between(text.split("<rethink>")[0], "[", "]"))
    if not quoted or any(one not in lines for one in quoted):
        return 0.0
    return 1.5 if len(quoted) == count else 0.5


def repetition(words):
    pairs = [(words[i : i + 8], words[i + 8 : i + 16]) for i in range(len(words) - 15)]
    return 0.5 - (sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0)


def names(text):
    return {name[name.startswith(":") :] for name in text.replace(",", " ").split()}


def loaded(text):
    try:
        reply = json.loads(text)
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}
