"""Sentences from a small grammar, so that utterances differ in what they say."""

import re

import numpy as np

_CANDIDATES = 24  # sentences drawn for each one kept; enough to meet a wished length within a syllable or so

# A hyphen stands for a space. Words that stand twice are drawn more often.
_WORDS = {
    "det": """
        the the the the this that my your our their her his every another one each some""",
    "adj": """
        old young yellow purple orange silver golden wooden frozen hollow narrow shallow broad heavy
        gentle quiet noisy clever foolish cheerful gloomy hungry thirsty sleepy dusty muddy rusty
        shiny fuzzy smooth rough sharp blunt tiny huge enormous little tall short curly straight
        crooked empty crowded ancient modern famous secret careful careless patient eager jolly joyful
        royal loyal spoiled boiled raw ripe fresh stale sour sweet bitter salty spicy frosty stormy
        cloudy foggy windy sunny chilly cosy thick thin precious usual casual public private northern
        southern eastern western Spanish Swedish French polished vague vivid brave jagged ragged
        zigzag azure beige cautious unusual""",
    "noun": """
        captain teacher doctor farmer painter sailor butcher baker singer dancer soldier lawyer
        plumber neighbour stranger cousin nephew daughter brother mother father uncle aunt niece king
        queen judge thief guard coach boat ship train truck wagon bicycle engine bridge tower church
        castle cottage garage garden orchard forest meadow valley mountain river ocean island desert
        harbour village market station airport library kitchen cupboard window ladder hammer shovel
        needle thread blanket pillow mirror candle lantern bottle basket bucket kettle saucer spoon
        knife fork table chair sofa carpet curtain letter parcel package message picture poem story
        song violin trumpet piano guitar drum bell clock watch camera telephone television treasure
        jewel necklace ring coin wallet jacket jumper trousers glove scarf shoe boot button zip
        feather leather horse donkey sheep goose chicken pigeon eagle owl fox wolf tiger zebra giraffe
        elephant monkey lizard snake beetle spider butterfly bee fish shark whale oyster oil soil toy
        voice choice cheese bread butter sausage onion carrot cabbage potato apple orange cherry peach
        plum lemon melon walnut sugar pepper vinegar thumb tooth mouth shoulder elbow finger measure
        vision decision question pleasure journey azalea thought month""",
    "transitive": """
        painted carried followed noticed borrowed polished repaired measured weighed finished watched
        touched pushed pulled dropped lifted opened closed covered washed cleaned chose bought sold
        found lost caught threw broke fixed built drew wrote read sang heard saw felt smelled tasted
        cooked boiled baked chopped peeled shared wanted needed liked loved hated feared trusted
        praised blamed greeted visited avoided joined destroyed discovered described remembered forgot
        ignored examined guarded gathered buried photographed exchanged adjusted enjoyed admired
        returned""",
    "intransitive": """
        laughed cried slept woke sneezed coughed yawned whispered shouted mumbled argued waited
        wandered travelled hurried stumbled vanished appeared arrived departed danced jumped climbed
        crawled floated sank swam flew rested worked played joked sighed hesitated smiled frowned
        listened shivered""",
    "adverb": """
        quietly slowly quickly loudly gladly sadly bravely gently roughly smoothly carefully
        carelessly suddenly finally usually rarely often always never almost nearly really hardly
        simply proudly shyly calmly lazily happily angrily secretly together outside upstairs
        yesterday tonight already again twice""",
    "prep": """
        near under over behind beside beyond above below through across around against along inside
        without before after beneath opposite towards""",
    "place": """
        Boston Paris Vienna Cairo Oslo Dublin Zurich Geneva Tokyo Sydney Chicago Georgia Virginia
        Devon Yorkshire Cheshire Wales Norway Egypt Poland Kenya Jamaica Malaysia Ohio Idaho""",
    "name": """
        Alice Oliver George Charlotte Thomas Victoria Hugh Joyce Roy Judith Zachary Yvonne Walter
        Phoebe Theodore Susan Geoffrey Rachel Edward Fiona Matthew Beth Vincent Naomi Isaac Louise
        Shirley Keith Maureen Audrey""",
    "time": """
        on-Monday on-Tuesday on-Wednesday on-Thursday on-Friday on-Saturday on-Sunday in-January
        in-February in-March in-April in-May in-June in-July in-August in-September in-October
        in-November in-December""",
    "number": """
        two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
        seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety""",
    "plural": """
        boxes houses horses stones chairs bottles letters coins apples eggs boats trees clouds
        feathers matches buttons pages towels pencils wheels flags keys bridges cages brushes
        mushrooms photographs shells""",
}

_RULES = {
    "sentence": [
        "{np} {vp}.", "{np} {vp}.", "{np} {vp} {pp}.", "{np} {vp}, and {np} {intransitive}.",
        "{time}, {np} {vp}.", "{pp}, {np} {vp}.", "{name} said that {np} {vp}.",
        "Why did you think {np} {vp}?", "Who {transitive} {np}?", "{name} {intransitive} {adverb}!",
        "Please show {name} {np} {pp}.", "There were {number} {plural} {pp}.",
        "{name} and {name} {transitive} {number} {adj} {plural}.", "When {np} {intransitive}, {np} {vp}.",
        "Did {name} go to {place} or to {place}?", "Nobody in {place} {vp}.",
        "{number} {plural} and {number} {plural} {intransitive} {adverb}.",
    ],
    "np": [
        "{det} {noun}", "{det} {adj} {noun}", "{det} {adj} {noun}", "{det} {adj} {adj} {noun}", "{name}",
        "{det} {noun} from {place}",
    ],
    "vp": [
        "{transitive} {np}", "{adverb} {transitive} {np}", "{transitive} {np} {adverb}",
        "{intransitive} {pp}", "{intransitive} {adverb}", "{transitive} {number} {plural}",
    ],
    "pp": ["{prep} {det} {noun}", "{prep} {det} {adj} {noun}", "{time}", "in {place}"],
}

_CHOICES = _RULES | {
    name: [word.replace("-", " ") for word in words.split()] for name, words in _WORDS.items()
}
_SLOT = re.compile(r"\{(\w+)\}")


def sentence(rng: np.random.Generator, syllables: float) -> str:
    """Draws a sentence of about ``syllables`` syllables (4 to 25 can be met)."""
    candidates = [_expand("{sentence}", rng) for _ in range(_CANDIDATES)]
    best = min(candidates, key=lambda text: abs(count_syllables(text) - syllables))
    return best[0].upper() + best[1:]


def count_syllables(text: str) -> int:
    """The number of syllables of English text, roughly: groups of vowels less silent final e's."""
    count = 0
    for word in re.findall(r"[a-z]+", text.lower()):
        silent = re.search(r"[^aeiouyl]e$|[^aeiouytd]ed$", word) is not None
        count += max(1, len(re.findall(r"[aeiouy]+", word)) - silent)
    return count


def _expand(template: str, rng: np.random.Generator) -> str:
    """Fills each slot of a template with a random choice, and the slots within it."""
    def fill(slot: re.Match) -> str:
        options = _CHOICES[slot[1]]
        return _expand(options[rng.integers(len(options))], rng)

    return _SLOT.sub(fill, template)
