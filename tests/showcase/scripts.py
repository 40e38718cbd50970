"""What is said in fifty conversations: the concern of a customer, each its own, and the agent."""

__all__ = ["CONCERNS", "spoken"]

CONCERNS = (
    "The new washing machine leaks water on the kitchen floor every morning.",
    "My train ticket to London was charged twice on my credit card.",
    "The doctor moved my appointment to Friday and I cannot come then.",
    "I forgot the password of my bank account and the screen is locked.",
    "The package with the blue jacket never arrived at my house.",
    "Our internet connection breaks down whenever it rains in the evening.",
    "I want to cancel the gym membership because I am moving to Canada.",
    "The hotel room was cold and the heating did not work all night.",
    "My electric bill is three times higher than in the winter before.",
    "The pharmacy gave me the wrong medicine for my blood pressure.",
    "Please change the delivery address to the office on Green Street.",
    "The flight was cancelled and nobody told us about another plane.",
    "I would like to open a savings account for my daughter.",
    "The garden chairs came with two broken legs and no screws.",
    "My insurance refuses to pay for the damage from the storm.",
    "The television shows no picture since the software update.",
    "I lost my passport at the airport and need help quickly.",
    "The restaurant charged us for a bottle of wine we never ordered.",
    "Could you send a copy of the invoice from last September?",
    "The elevator in our building has been out of order for a week.",
    "My phone battery is empty after only two hours of music.",
    "The school bus did not stop for my children this morning.",
    "I want to return the red shoes because they are too small.",
    "The mortgage payment went to the wrong bank last month.",
    "Someone used my credit card to buy a computer in Paris.",
    "The dishwasher makes a terrible noise when it starts.",
    "I need a wheelchair at the station for my grandmother.",
    "The concert was moved and I would like my money back.",
    "My coffee machine shows an error with a red light.",
    "The repair man broke the window and left without a word.",
    "I was promised a discount for students and did not get it.",
    "The rental car had a flat tire on the second day.",
    "Please add my husband to the family telephone plan.",
    "The roof of our new house is leaking into the bedroom.",
    "My order of fresh vegetables was delivered frozen.",
    "I cannot read the letter because the print is too small.",
    "The water in our street is brown since the repair work.",
    "My dog chewed the remote control and I need a new one.",
    "The printer prints every page with a black line.",
    "I have waited forty minutes for somebody to answer the phone.",
    "The birthday cake had the wrong name written on it.",
    "My pension statement shows the wrong year of birth.",
    "The parking machine took my money and gave no ticket.",
    "I would like to book a table for twelve people on Sunday.",
    "The baby seat does not fit into our small car.",
    "My solar panels produce no power since last Tuesday.",
    "The museum tickets in my email cannot be opened.",
    "Please stop sending me advertising about boats.",
    "The library says that I never returned the history book.",
    "The new glasses give me a headache after one hour.",
)

_OPENING = "Good morning, how can I help you?"
_CLOSING = "I am sorry to hear that, I will take care of it."


def spoken(number: int) -> str:
    """All of conversation `number`, from 0 on."""
    return f"{_OPENING} {CONCERNS[number]} {_CLOSING}"
