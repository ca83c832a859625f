from broker.cli import chaos


def test_a_screenful_of_promotions_is_told_and_the_rest_is_counted(capsys):
    promotions = [{"text": f"queue q{number}: n1 promoted"} for number in range(chaos.PROMOTIONS_SHOWN + 3)]
    chaos._show_promotions(promotions)
    told = capsys.readouterr().out.splitlines()
    assert told[: chaos.PROMOTIONS_SHOWN] == [one["text"] for one in promotions[: chaos.PROMOTIONS_SHOWN]]
    assert told[chaos.PROMOTIONS_SHOWN :] == ["... and 3 more (warren events)", "every queue has a master; 23 promoted"]
