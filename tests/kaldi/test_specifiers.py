"""Kaldi's names for tables: what is understood, and what is refused in words."""

import argparse

import pytest

from xvkd.kaldi.specifiers import RSpecifier, WSpecifier, rspecifier, wspecifier


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scp:feats.scp", RSpecifier("scp", "feats.scp")),
        ("ark:-", RSpecifier("ark", "-")),
        ("ark,t:x y.ark", RSpecifier("ark", "x y.ark")),
        ("ark,s,cs:-", RSpecifier("ark", "-")),
        ("s, cs, ark:x", RSpecifier("ark", "x")),
        ("scp,p:x:y.scp", RSpecifier("scp", "x:y.scp", permissive=True)),
        ("ark,np,o,bg:x", RSpecifier("ark", "x")),
        ("ark:gunzip -c x.gz |", RSpecifier("ark", "gunzip -c x.gz |")),
        ("ark: gunzip -c x.gz | ", RSpecifier("ark", "gunzip -c x.gz |")),
    ],
)
def test_tables_to_read(text, expected):
    assert rspecifier(text) == expected


@pytest.mark.parametrize("text", ["", "x.scp", "scp:", "ark: ", "ark,scp:a,b", "ark,x:a", "ark,:a", "wav:x", "Scp:x"])
def test_what_is_no_table_to_read(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected scp:FILE or ark:FILE"):
        rspecifier(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ark:x.ark", WSpecifier("x.ark")),
        ("ark,t:-", WSpecifier("-", text=True)),
        ("ark,t,f:-", WSpecifier("-", text=True, flush=True)),
        ("ark,scp:a.ark,b.scp", WSpecifier("a.ark", "b.scp")),
        ("scp,ark:b.scp,a.ark", WSpecifier("a.ark", "b.scp")),
        ("ark,scp,t:a.ark,b.scp", WSpecifier("a.ark", "b.scp", text=True)),
        ("ark:| gzip -c > x, y.gz", WSpecifier("| gzip -c > x, y.gz")),
        ("ark:a,b.ark", WSpecifier("a,b.ark")),
    ],
)
def test_tables_to_write(text, expected):
    assert wspecifier(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x.ark", "ark:", "scp:x.scp", "ark,scp:a", "ark,scp:a,", "ark,scp:,b", "ark,s:a", "ark,ark:a,b"]
)
def test_what_is_no_table_to_write(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected ark:ARCHIVE or ark,scp:ARCHIVE,SCRIPT"):
        wspecifier(text)


@pytest.mark.parametrize("text", ["ark,scp:-,x.scp", "ark,scp:| cat,x.scp"])
def test_no_script_names_what_is_no_file(text):
    with pytest.raises(argparse.ArgumentTypeError, match="can only name an archive that is a file"):
        wspecifier(text)
